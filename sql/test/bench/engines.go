package main

// engines returns every engine, in the order of the printed rows. Each call makes
// new ones.
func engines() []Engine {
	return []Engine{
		&htdagSQL{},
		&htdagSQL{bundled: true},
		&htdagRunner{},
		&pgflow{},
		&dbosEngine{},
		&riverEngine{},
		graphile(),
		pgBoss(),
		&floor{batch: 1},
		&floor{batch: 50},
	}
}
