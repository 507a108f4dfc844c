package lang

var _ = register(Language{
	Name:       "C++",
	Aliases:    []string{"cpp", "cxx"},
	Extensions: []string{".cc", ".cpp", ".cxx", ".c++", ".hh", ".hpp", ".hxx", ".ipp", ".tpp", ".h"},
	Scan:       cScan(true),
})
