package lang

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"

	"github.com/htdag/htdag/runner/ingest/treesitter"
)

// parsers is shared by all grammars, so that it bounds their threads and memory
// together. A parser is allocated when it is first needed.
var parsers = treesitter.NewPool(runtime.GOMAXPROCS(0), treesitter.Limits{})

// extractor returns the ExtractFunc of a table of rules. The grammar is loaded and
// the rules are bound to it when the first file of the language comes.
func (r *treeRules) extractor() ExtractFunc {
	compile := sync.OnceValues(r.compile)
	return func(ctx context.Context, src Source) (Extraction, error) {
		g, err := compile()
		if err != nil {
			return Extraction{}, err
		}
		var ex Extraction
		if r.refuse != nil {
			if why := r.refuse(src.Text); why != "" {
				return ex, errors.New(why)
			}
		}
		text := src.Text
		if r.mask != nil {
			text = r.mask(text)
		}
		err = parsers.Parse(ctx, g.language, text, func(tree *treesitter.Tree) error {
			ex = newTreeWalk(g, src, tree).run()
			return nil
		})
		if errors.Is(err, treesitter.ErrTimeout) {
			err = ErrTimeout
		}
		return ex, err
	}
}

// treeGrammar is a table of rules bound to the numbers of its grammar.
type treeGrammar struct {
	*treeRules
	language *treesitter.Language
	actions  []treeAction // by node kind
	operator treesitter.Field
	notBound map[treesitter.Field]bool // inside a pattern: keys and default values
	typeIn   map[treesitter.Field]string
	nameIn   treesitter.Field
}

// treeAction is everything the rules say of one node kind.
type treeAction struct {
	defines []*boundDefine
	calls   []*boundCall
	binds   []*boundBind
	visit   func(w *treeWalk, node int) bool
	weight  int

	isName, isPattern, isOperator    bool
	isComment, isAttached, isWrapper bool
	isLocal, isSignature, isSkipped  bool
	isUnwrapped, isUnsigned, isAny   bool
	isType, isTypeHead, isTypeHeadIn bool
	declaresType                     bool
	typeKind                         string

	unwrap treesitter.Field
	member *boundMember
}

type boundDefine struct {
	*defineRule
	where      []boundWhere
	name, body []treesitter.Field
}

type boundWhere struct {
	field treesitter.Field
	kinds map[treesitter.Kind]bool
}

type boundMember struct {
	of, name  treesitter.Field
	separator string
}

type boundCall struct {
	callee, of treesitter.Field
	separator  string
	ignore     map[string]bool
	accept     func(w *treeWalk, node int) bool
}

type boundBind struct {
	*bindRule
	name, typ, value []treesitter.Field
	construct        map[treesitter.Kind][]treesitter.Field
}

// compile binds the rules to the grammar. All names the grammar does not have are
// reported together.
func (r *treeRules) compile() (*treeGrammar, error) {
	language, err := treesitter.NewLanguage(r.language, r.grammar())
	if err != nil {
		return nil, err
	}
	g := &treeGrammar{treeRules: r, language: language, actions: make([]treeAction, language.Len()), notBound: map[treesitter.Field]bool{}, typeIn: map[treesitter.Field]string{}}
	var unknown []string
	field := func(name string) treesitter.Field {
		f, ok := language.Field(name)
		if !ok && name != "" {
			unknown = append(unknown, "field "+name)
		}
		return f
	}
	path := func(names string) (fields []treesitter.Field) {
		for name := range strings.SplitSeq(names, ".") {
			fields = append(fields, field(name))
		}
		return fields
	}
	each := func(node string, do func(*treeAction)) {
		kinds := language.Kinds(node)
		if len(kinds) == 0 {
			unknown = append(unknown, "node "+node)
		}
		for _, k := range kinds {
			g.actions[k].isAny = true
			do(&g.actions[k])
		}
	}
	kinds := func(nodes []string) map[treesitter.Kind]bool {
		set := map[treesitter.Kind]bool{}
		for _, node := range nodes {
			each(node, func(*treeAction) {})
			for _, k := range language.Kinds(node) {
				set[k] = true
			}
		}
		return set
	}

	for i := range r.defines {
		d := &boundDefine{defineRule: &r.defines[i]}
		d.name = path(d.defineRule.name)
		if d.defineRule.body != "" {
			d.body = path(d.defineRule.body)
		}
		for name, nodes := range d.defineRule.where {
			d.where = append(d.where, boundWhere{field(name), kinds(nodes)})
		}
		each(d.node, func(a *treeAction) { a.defines = append(a.defines, d) })
	}
	for i := range r.calls {
		c := &boundCall{callee: field(r.calls[i].callee), of: field(r.calls[i].of), separator: cmp.Or(r.calls[i].separator, "."), ignore: map[string]bool{}, accept: r.calls[i].accept}
		for _, name := range r.calls[i].ignore {
			c.ignore[name] = true
		}
		each(r.calls[i].node, func(a *treeAction) { a.calls = append(a.calls, c) })
	}
	for i := range r.binds {
		rule := &r.binds[i]
		b := &boundBind{bindRule: rule, name: path(rule.name), construct: map[treesitter.Kind][]treesitter.Field{}}
		if rule.typ != "" {
			b.typ = path(rule.typ)
		}
		if rule.value != "" {
			b.value = path(rule.value)
		}
		for node, names := range rule.construct {
			for k := range kinds([]string{node}) {
				b.construct[k] = path(names)
			}
		}
		each(rule.node, func(a *treeAction) { a.binds = append(a.binds, b) })
	}
	for node, m := range r.members {
		b := &boundMember{field(m.of), field(m.name), m.separator}
		each(node, func(a *treeAction) { a.member = b })
	}
	for node, name := range r.unwrap {
		f := field(name)
		each(node, func(a *treeAction) { a.isUnwrapped, a.unwrap = true, f })
	}
	for node, weight := range r.decisions {
		each(node, func(a *treeAction) { a.weight = weight })
	}
	for node, visit := range r.visit {
		each(node, func(a *treeAction) { a.visit = visit })
	}
	for _, l := range []struct {
		nodes []string
		mark  func(*treeAction)
	}{
		{r.names, func(a *treeAction) { a.isName = true }},
		{r.patterns, func(a *treeAction) { a.isPattern = true }},
		{r.comments, func(a *treeAction) { a.isComment = true }},
		{r.attached, func(a *treeAction) { a.isAttached = true }},
		{r.wrappers, func(a *treeAction) { a.isWrapper = true }},
		{r.local, func(a *treeAction) { a.isLocal = true }},
		{r.signature, func(a *treeAction) { a.isSignature = true }},
		{r.skip, func(a *treeAction) { a.isSkipped = true }},
		{r.unsigned, func(a *treeAction) { a.isUnsigned = true }},
		{r.types, func(a *treeAction) { a.isType = true }},
		{r.typeHeads, func(a *treeAction) { a.isTypeHead = true }},
		{r.typeHeadsIn, func(a *treeAction) { a.isTypeHeadIn = true }},
		{r.typeDeclares, func(a *treeAction) { a.declaresType = true }},
	} {
		for _, node := range l.nodes {
			each(node, l.mark)
		}
	}
	for node, kind := range r.typeParents {
		each(node, func(a *treeAction) { a.typeKind = kind })
	}
	for name, kind := range r.typeFields {
		g.typeIn[field(name)] = kind
	}
	g.nameIn, _ = language.Field("name")
	for _, name := range []string{"key", "right"} {
		if f, ok := language.Field(name); ok {
			g.notBound[f] = true
		}
	}
	if len(r.operators) > 0 {
		g.operator = field("operator")
		for _, text := range r.operators {
			for _, k := range language.Tokens(text) {
				g.actions[k].isAny, g.actions[k].isOperator = true, true
			}
		}
	}
	if len(unknown) > 0 {
		return nil, fmt.Errorf("rules of %s name what its grammar lacks: %s", r.language, strings.Join(unknown, ", "))
	}
	return g, nil
}
