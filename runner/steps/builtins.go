package steps

import "strings"

// builtin knows functions that files call without importing them and that are so
// common that a lone definition of the same name must not be taken for them.
func builtin(language, name string) bool {
	return builtins[family(language)][name]
}

var builtins = map[string]map[string]bool{
	"py": set("abs all any ascii bin bool breakpoint bytearray bytes callable chr classmethod compile complex delattr dict dir divmod " +
		"enumerate eval exec filter float format frozenset getattr globals hasattr hash help hex id input int isinstance issubclass " +
		"iter len list locals map max memoryview min next object oct open ord pow print property range repr reversed round set " +
		"setattr slice sorted staticmethod str sum super tuple type vars zip ValueError TypeError KeyError IndexError RuntimeError " +
		"Exception NotImplementedError AttributeError OSError StopIteration"),
	"js": set("require parseInt parseFloat isNaN isFinite setTimeout setInterval clearTimeout clearInterval setImmediate fetch " +
		"encodeURIComponent decodeURIComponent encodeURI decodeURI String Number Boolean Array Object Symbol BigInt Date RegExp " +
		"Error TypeError RangeError SyntaxError Promise Map Set WeakMap WeakSet Proxy URL URLSearchParams super import " +
		"queueMicrotask structuredClone alert atob btoa"),
	"rs": set("Some None Ok Err Box Vec String println print eprintln format panic vec assert assert_eq assert_ne todo write " +
		"writeln unreachable unimplemented matches drop dbg include_str include_bytes concat stringify cfg env"),
	"php":  set("array isset unset empty count strlen str_replace in_array implode explode printf sprintf is_null array_map"),
	"ruby": set("puts print p require require_relative raise attr_reader attr_writer attr_accessor include extend lambda proc loop private public protected format sprintf"),
	"c":    set("sizeof printf fprintf sprintf snprintf malloc calloc realloc free memcpy memset memmove strlen strcmp strncmp strcpy assert exit abort"),
}

// builtinMethod knows methods of the types that a language builds in. On a value
// of unknown type such a name nearly always means the built-in one, even where the
// codebase has one definition of it.
func builtinMethod(language, name string) bool {
	return builtinMethods[family(language)][name]
}

var builtinMethods = map[string]map[string]bool{
	"py": set("append extend insert pop remove clear index count sort reverse copy keys values items get setdefault popitem update " +
		"fromkeys add discard union intersection difference issubset issuperset join split rsplit splitlines strip lstrip rstrip " +
		"startswith endswith replace find rfind rindex upper lower title capitalize casefold swapcase center ljust rjust zfill " +
		"format format_map encode decode hex translate maketrans partition rpartition expandtabs isdigit isalpha isalnum isspace " +
		"isupper islower isidentifier isnumeric isdecimal isascii isprintable istitle removeprefix removesuffix " +
		"read readline readlines write writelines close flush seek tell fileno isatty truncate setter getter deleter " +
		"group groups groupdict span match fullmatch search sub subn finditer findall"),
	"js": set("push pop shift unshift slice splice concat map filter reduce reduceRight forEach find findIndex findLast indexOf " +
		"lastIndexOf includes join keys values entries some every sort reverse flat flatMap fill at then catch finally toString " +
		"toFixed valueOf charAt charCodeAt codePointAt split replace replaceAll match matchAll trim trimStart trimEnd toLowerCase " +
		"toUpperCase startsWith endsWith substring substr padStart padEnd repeat localeCompare normalize test exec get set has delete " +
		"add clear call apply bind hasOwnProperty addEventListener removeEventListener preventDefault stopPropagation json text"),
	"rs": set("clone unwrap expect iter iter_mut into_iter map filter collect len is_empty push push_str pop insert remove get get_mut " +
		"contains contains_key to_string to_owned to_vec as_str as_ref as_mut as_bytes into from unwrap_or unwrap_or_else " +
		"unwrap_or_default ok ok_or ok_or_else map_err and_then or_else is_some is_none is_ok is_err take replace fold any all find " +
		"position enumerate zip rev chain skip next last first sort sort_by split trim starts_with ends_with lines chars bytes parse " +
		"borrow borrow_mut lock read write clear extend drain entry or_insert keys values min max abs sum count cmp partial_cmp eq"),
	"ruby": set("each map select reject inject reduce collect find detect first last push pop shift unshift join split strip gsub sub " +
		"include? empty? nil? length size count to_s to_i to_a to_h to_sym keys values key? merge merge! fetch dup freeze is_a? respond_to? " +
		"send new call any? all? none? sort sort_by group_by each_with_index each_with_object zip flatten compact uniq reverse start_with? end_with?"),
}

func set(words string) map[string]bool {
	m := map[string]bool{}
	for w := range strings.FieldsSeq(words) {
		m[w] = true
	}
	return m
}
