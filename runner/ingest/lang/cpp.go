package lang

var _ = register(Language{
	Name:       "C++",
	Aliases:    []string{"cpp", "cxx"},
	Extensions: []string{".cc", ".cpp", ".cxx", ".c++", ".hh", ".hpp", ".hxx", ".ipp", ".tpp", ".h"},
	Marks: []string{
		"\nclass ", "\nnamespace ", "\ntemplate <", "\ntemplate<", "std::", "\nusing namespace ", "\npublic:", "\nprivate:", "\nprotected:", " public:", " private:",
		"constexpr ", "nullptr", "static_cast<", "virtual ", "#include <string>", "#include <vector>", "#include <memory>", "typename ", "-*- C++ -*-", "operator=(",
	},
	Scan: cScan(true),
})
