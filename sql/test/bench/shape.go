package main

import "encoding/json"

// Shape is a workload.
type Shape string

// The workloads. Handlers do nothing and answer nothing, except in Map: its first step
// answers the numbers from 1 to a thousand, each element is answered with itself, and
// the last step is given all of these.
const (
	Chain   Shape = "chain"   // five steps in a row
	Diamond Shape = "diamond" // one step, then eight at once, then one
	Map     Shape = "map"     // a step that answers an array of a thousand, one task for each element, a step after them all
	Ingest  Shape = "ingest"  // thirteen steps: what happens to a source file, as a graph
	Storm   Shape = "storm"   // chains are started, and not worked on
	Idle    Shape = "idle"    // one chain at a time on a system that has nothing else to do
	Jobs    Shape = "jobs"    // single steps: what a queue without graphs calls a job
)

// Shapes are all of them, in the order in which they are printed.
var Shapes = []Shape{Chain, Diamond, Map, Ingest, Jobs, Storm, Idle}

// about says what a shape is, to whoever reads the figures.
func (s Shape) about() string {
	return map[Shape]string{
		Chain:   "five steps in a row",
		Diamond: "one step, then eight at once, then one",
		Map:     "a step that answers an array of 1,000, a task for each element, a step that is given all their answers",
		Ingest:  "thirteen steps, the graph of what happens to a source file",
		Jobs:    "single steps",
		Storm:   "chains are started, and not worked on",
		Idle:    "one chain at a time, on a system that has nothing else to do",
	}[s]
}

// unit is what rates are counted in.
func (s Shape) unit() string {
	switch s {
	case Storm:
		return "start"
	case Jobs:
		return "job"
	}
	return "step"
}

// Elements is the size of the array of Map.
const Elements = 1000

// elements is that array.
var elements = func() json.RawMessage {
	numbers := make([]int, Elements)
	for i := range numbers {
		numbers[i] = i + 1
	}
	text, _ := json.Marshal(numbers)
	return text
}()

// Step is a step of a shape's graph.
type Step struct {
	Name  string
	Needs []string
	Map   bool // one task for each element of the array that the only needed step answers
}

// Graph returns the steps in topological order.
func (s Shape) Graph() []Step {
	switch s {
	case Chain, Storm, Idle:
		return []Step{
			{Name: "s1"},
			{Name: "s2", Needs: []string{"s1"}},
			{Name: "s3", Needs: []string{"s2"}},
			{Name: "s4", Needs: []string{"s3"}},
			{Name: "s5", Needs: []string{"s4"}},
		}
	case Diamond:
		steps := []Step{{Name: "first"}}
		var middle []string
		for _, name := range []string{"m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8"} {
			steps = append(steps, Step{Name: name, Needs: []string{"first"}})
			middle = append(middle, name)
		}
		return append(steps, Step{Name: "last", Needs: middle})
	case Map:
		return []Step{
			{Name: "list"},
			{Name: "each", Needs: []string{"list"}, Map: true},
			{Name: "reduce", Needs: []string{"each"}},
		}
	case Ingest:
		return []Step{
			{Name: "file_detection"},
			{Name: "file_validation", Needs: []string{"file_detection"}},
			{Name: "content_validation", Needs: []string{"file_detection"}},
			{Name: "permission_check", Needs: []string{"file_detection"}},
			{Name: "language_detection", Needs: []string{"file_validation", "content_validation", "permission_check"}},
			{Name: "ast_parsing", Needs: []string{"language_detection"}},
			{Name: "metadata_extraction", Needs: []string{"ast_parsing"}},
			{Name: "database_storage", Needs: []string{"metadata_extraction"}},
			{Name: "relationship_mapping", Needs: []string{"database_storage"}},
			{Name: "embedding_generation", Needs: []string{"database_storage"}},
			{Name: "vector_index_update", Needs: []string{"embedding_generation"}},
			{Name: "search_index_rebuild", Needs: []string{"database_storage"}},
			{Name: "graph_update", Needs: []string{"relationship_mapping"}},
		}
	}
	return []Step{{Name: "job"}}
}

// Layers returns the graph as layers: each step comes one after the last of its needs.
func (s Shape) Layers() [][]Step {
	var layers [][]Step
	depth := map[string]int{}
	for _, step := range s.Graph() {
		d := 0
		for _, need := range step.Needs {
			d = max(d, depth[need]+1)
		}
		depth[step.Name] = d
		if d == len(layers) {
			layers = append(layers, nil)
		}
		layers[d] = append(layers[d], step)
	}
	return layers
}

// Tasks returns how many times a handler runs in one run: the steps of the shape,
// with one for each element of a map. It is what rates and costs are divided by,
// except that a Storm is counted in runs.
func (s Shape) Tasks() int {
	n := 0
	for _, step := range s.Graph() {
		if step.Map {
			n += Elements
		} else {
			n++
		}
	}
	return n
}
