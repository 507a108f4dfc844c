package lang

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
)

var _ = register(Language{
	Name:       "Markdown",
	Aliases:    []string{"md", "gfm", "mdx"},
	Extensions: []string{".md", ".markdown", ".mdown", ".mkd", ".mdx", ".livemd"},
	Extract:    extractMarkdown,
})

// maxMarkdown and maxMarkdownNesting bound what is given to the parser, which
// calls itself for each level of quotes and lists.
const (
	maxMarkdown        = 1 << 20
	maxMarkdownNesting = 500
)

// extractMarkdown makes a symbol of each section, nested as the headings are,
// with its first paragraph as documentation. Links and images that lead to files
// are imports.
//
// Only blocks are left to the parser. Its inline parsing takes quadratic time on
// unclosed brackets and backticks (a minute and a half for 256 kB of "[a](b");
// links are found in the blocks' lines in linear time instead.
func extractMarkdown(_ context.Context, src Source) (Extraction, error) {
	if len(src.Text) > maxMarkdown {
		return Lines(src, fmt.Sprintf("larger than the %d bytes that are parsed of Markdown", maxMarkdown)), nil
	}
	if deepMarkdown(src.Text) {
		return Lines(src, fmt.Sprintf("nested deeper than %d levels", maxMarkdownNesting)), nil
	}
	body := withoutFrontMatter(src.Text)
	blocks := parser.NewParser(parser.WithBlockParsers(parser.DefaultBlockParsers()...))
	document := blocks.Parse(text.NewReader(body))
	f := &markdownFile{Builder: NewBuilder(src, "goldmark"), src: src, body: body}
	f.sections(document)
	err := ast.Walk(document, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if entering && (n.Kind() == ast.KindParagraph || n.Kind() == ast.KindTextBlock || n.Kind() == ast.KindHeading) {
			f.links(n.Lines())
		}
		return ast.WalkContinue, nil
	})
	return f.Extraction(), err
}

type markdownFile struct {
	*Builder
	src  Source
	body []byte // the text, its front matter blanked
}

// deepMarkdown says whether some line opens more levels than anybody writes, or
// indentation grows beyond that.
func deepMarkdown(body []byte) bool {
	for line := range bytes.Lines(body) {
		openers := 0
		for _, c := range line {
			switch c {
			case '>', '-', '*', '+', '.', ')':
				openers++
			case ' ', '\t', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
			default:
				goto end
			}
		}
	end:
		if openers > maxMarkdownNesting && bytes.ContainsAny(line, " \t>") || len(line)-len(bytes.TrimLeft(line, " \t")) > 8*maxMarkdownNesting {
			return true
		}
	}
	return false
}

// withoutFrontMatter blanks a leading block between --- or +++ lines, which
// other programs read, keeping every offset.
func withoutFrontMatter(body []byte) []byte {
	start := 0
	if bytes.HasPrefix(body, []byte("\xEF\xBB\xBF")) {
		start = 3
	}
	for _, fence := range []string{"---", "+++"} {
		first, rest, ok := bytes.Cut(body[start:], []byte{'\n'})
		if !ok || strings.TrimRight(string(first), " \t\r") != fence {
			continue
		}
		at := len(body) - len(rest)
		for line := range bytes.Lines(rest) {
			at += len(line)
			if strings.TrimRight(string(line), " \t\r\n") == fence {
				blanked := append([]byte(nil), body...)
				blank(blanked[start:at])
				return blanked
			}
		}
	}
	return body
}

// sections adds the headings. A section reaches to the next heading of its own
// or a higher level; headings inside quotes and lists make none.
func (f *markdownFile) sections(document ast.Node) {
	type open struct {
		ref   Ref
		level int
	}
	var stack []open
	end := func(level, at int) {
		for len(stack) > 0 && stack[len(stack)-1].level >= level {
			ref := stack[len(stack)-1].ref
			f.At(ref).EndByte = at
			f.At(ref).EndLine = f.Line(max(at-1, f.At(ref).StartByte))
			stack = stack[:len(stack)-1]
		}
	}
	for n := document.FirstChild(); n != nil; n = n.NextSibling() {
		switch n := n.(type) {
		case *ast.Heading:
			if n.Lines().Len() == 0 {
				continue
			}
			line := f.Line(n.Lines().At(0).Start)
			start := f.LineStart(line)
			name := f.plain(n)
			if name == "" {
				continue
			}
			end(n.Level, start)
			parent := None
			if len(stack) > 0 {
				parent = stack[len(stack)-1].ref
			}
			ref := f.Symbol(parent, Symbol{
				Kind: KindModule, Name: name, Exported: true, StartByte: start, EndByte: len(f.body),
				Signature: strings.Repeat("#", n.Level) + " " + name,
			})
			stack = append(stack, open{ref, n.Level})
		case *ast.Paragraph:
			if len(stack) > 0 && n.PreviousSibling() != nil && n.PreviousSibling().Kind() == ast.KindHeading {
				f.At(stack[len(stack)-1].ref).Doc = Clip(f.plain(n), MaxDoc)
			}
			if f.ex.Doc == "" {
				f.Module("", f.plain(n))
			}
		}
	}
	end(0, len(f.body))
}

var (
	// A link's or image's destination: in angle brackets, or without blanks and
	// with one level of brackets; or that of a reference definition.
	markdownLink = regexp.MustCompile(`\]\([ \t]*(?:<([^<>\n]*)>|((?:[^\s()\\<]|\\[^\s]|\([^\s()]*\))+))`)
	markdownRef  = regexp.MustCompile(`^ {0,3}\[[^\[\]\n]+\]:[ \t]*(?:<([^<>\n]*)>|([^\s<]\S*))`)
	// What stands for its first group when markup is taken off a text.
	markdownText = regexp.MustCompile(`!?\[([^\[\]]*)\](?:\([^()]*\)|\[[^\[\]]*\])|<(https?://[^<>\s]+)>`)
	markdownMark = regexp.MustCompile("\\\\([!-/:-@\\[-`{-~])|[*`]+|</?[A-Za-z][^<>]*>")
)

// plain returns the text of a block without its markup.
func (f *markdownFile) plain(n ast.Node) string {
	var b strings.Builder
	for i := 0; i < n.Lines().Len() && b.Len() < MaxDoc; i++ {
		line := n.Lines().At(i)
		b.Write(line.Value(f.body))
		b.WriteByte(' ')
	}
	plain := markdownText.ReplaceAllString(Clip(b.String(), 2*MaxDoc), "$1$2")
	plain = markdownMark.ReplaceAllString(plain, "$1")
	return strings.Join(strings.Fields(plain), " ")
}

// links adds what the links and images of a block lead to, if that is a file.
func (f *markdownFile) links(lines *text.Segments) {
	for i := 0; i < lines.Len(); i++ {
		segment := lines.At(i)
		line := withoutCodeSpans(segment.Value(f.body))
		found := markdownLink.FindAllSubmatchIndex(line, -1)
		if at := markdownRef.FindSubmatchIndex(line); at != nil {
			found = append(found, at)
		}
		for _, at := range found {
			from, to := at[2], at[3]
			if from < 0 {
				from, to = at[4], at[5]
			}
			f.link(string(line[from:to]), segment.Start+at[0])
		}
	}
}

func (f *markdownFile) link(destination string, at int) {
	target, err := url.Parse(destination)
	if err != nil || target.Scheme != "" || target.Host != "" || target.Path == "" {
		return
	}
	imported := Import{Module: destination}
	if file := Near(f.src.Path, target.Path); file != "" {
		imported.Seeks = []string{PathProvided(file)}
	}
	f.Import(at, imported)
}

// withoutCodeSpans blanks what stands between equal runs of backticks on a line.
func withoutCodeSpans(line []byte) []byte {
	if bytes.IndexByte(line, '`') < 0 {
		return line
	}
	line = append([]byte(nil), line...)
	open := map[int]int{} // length of a run to the offset after it
	for i := 0; i < len(line); {
		if line[i] != '`' {
			i++
			continue
		}
		end := i
		for end < len(line) && line[end] == '`' {
			end++
		}
		if from, ok := open[end-i]; ok {
			blank(line[from:i])
			clear(open)
		} else {
			open[end-i] = end
		}
		i = end
	}
	return line
}
