package lang_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/htdag/htdag/runner/ingest/lang"
)

// Each language tells which types its definitions name, and neither those that it
// predeclares nor a definition's own parameters.
func TestTypesThatAreNamed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		language, path, text string
		want                 []string
	}{
		{"Go", "a.go", `package a
type Client[T any] struct {
	*Base
	conn net.Conn
	list map[Key][]*T
}
type Doer interface { io.Closer; Do(r Request) (int, error) }
type ID = Number
func (c *Client[T]) Get(k Key, more ...Option) (x chan<- Result[Key], err error) {
	v := &Value{inner: Inner{}}
	type local struct{}
	var w Window = local{}
	switch y := v.x.(type) { case Special: _ = y }
	return make(chan Result[T]), any(v).(Error)
}
func Map[S ~[]E, E Ordered](s S) E { return s[0] }
var Default, other Setting = f(&Literal{}), nil
`, []string{
			"3 struct Client: extends Base",
			"4 struct Client: field net.Conn",
			"5 struct Client: field Key",
			"7 interface Doer: extends io.Closer",
			"7 interface Doer: signature Request",
			"8 type ID: alias Number",
			"9 method Client.Get: signature Key",
			"9 method Client.Get: signature Option",
			"9 method Client.Get: signature Result",
			"10 method Client.Get: body Value",
			"10 method Client.Get: body Inner",
			"12 method Client.Get: body Window",
			"13 method Client.Get: body Special",
			"14 method Client.Get: body Result",
			"14 method Client.Get: body Error",
			"16 function Map: signature Ordered",
			"17 variable Default: variable Setting",
			"17 variable Default: body Literal",
		}},
		{"TypeScript", "a.ts", `import { Base } from './base'
interface Shape<T> extends Thing, ns.Other { name: Name<T>; size: number }
class Box<U extends Bound> extends Base<U> implements Shape<U>, Closable {
  items: Map<string, Item> = new Map();
  put(x: U, y?: Option): Promise<Result> { const z: Inner = make<Arg>(x); return z as Cast }
}
type Alias = Left | Right[];
const top: Setting = {};
function f<T>(a: T): a is Narrow { return true }
`, []string{
			"2 interface Shape: extends Thing",
			"2 interface Shape: extends ns.Other",
			"2 field Shape.name: field Name",
			"3 class Box: signature Bound",
			"3 class Box: extends Base",
			"3 class Box: implements Shape",
			"3 class Box: implements Closable",
			"4 field Box.items: field Map",
			"4 field Box.items: field Item",
			"5 method Box.put: signature Option",
			"5 method Box.put: signature Promise",
			"5 method Box.put: signature Result",
			"5 method Box.put: body Inner",
			"5 method Box.put: body Arg",
			"5 method Box.put: body Cast",
			"7 type Alias: alias Left",
			"7 type Alias: alias Right",
			"8 constant top: variable Setting",
			"9 function f: signature Narrow",
		}},
		{"TSX", "a.tsx", "export const View: React.FC<Props> = (p: Props) => <Item kind={p.kind} />;\n", []string{
			"1 function View: signature React.FC",
			"1 function View: signature Props",
		}},
		{"Python", "a.py", `class Box(Base, mod.Mixin, metaclass=Meta):
    items: list[Item]
    def put(self, x: Value, *rest: mod.Other) -> Optional[Result]:
        y: Inner = x
        return y
def f(a: "Quoted", b=Default): pass
top: Setting = None
`, []string{
			"1 class Box: extends Base",
			"1 class Box: extends mod.Mixin",
			"1 class Box: extends Meta",
			"2 field Box.items: field list",
			"2 field Box.items: field Item",
			"3 method Box.put: signature Value",
			"3 method Box.put: signature mod.Other",
			"3 method Box.put: signature Optional",
			"3 method Box.put: signature Result",
			"4 method Box.put: body Inner",
			"7 variable top: variable Setting",
		}},
		{"Java", "a/Box.java", `package a;
public class Box<T extends Bound> extends Base<T> implements Shape, java.io.Closeable {
  private Map<String, Item> items;
  public Result put(T x, Option... more) throws Failure { Inner y = new Made(); return y; }
  <U> U id(U u) { return u; }
}
interface Shape extends Thing {}
`, []string{
			"2 class Box: signature Bound",
			"2 class Box: extends Base",
			"2 class Box: implements Shape",
			"2 class Box: implements java.io.Closeable",
			"3 field Box.items: field Map",
			"3 field Box.items: field String",
			"3 field Box.items: field Item",
			"4 method Box.put: signature Result",
			"4 method Box.put: signature Option",
			"4 method Box.put: signature Failure",
			"4 method Box.put: body Inner",
			"4 method Box.put: body Made",
			"7 interface Shape: extends Thing",
		}},
		{"Rust", "a.rs", `struct Box<T: Bound> { item: T, inner: Vec<Inner>, path: a::Deep }
enum Kind { One(Payload), Two }
trait Shape: Thing { fn area(&self) -> Area; }
impl<T> Shape for Box<T> { fn area(&self) -> Area { let x: Local = Made {}; Area {} } }
type Alias = Right;
fn f<T>(x: &T, y: Option<Value>) -> Result<Self, Error> { loop {} }
`, []string{
			"1 struct Box: signature Bound",
			"1 field Box.inner: field Vec",
			"1 field Box.inner: field Inner",
			"1 field Box.path: field a::Deep",
			"2 constant Kind.One: variable Payload",
			"3 trait Shape: signature Thing",
			"3 field Shape.area: field Area",
			"4 : implements Shape",
			"4 : variable Box",
			"4 method Box.area: signature Area",
			"4 method Box.area: body Local",
			"4 method Box.area: body Made",
			"4 method Box.area: body Area",
			"5 type Alias: alias Right",
			"6 function f: signature Option",
			"6 function f: signature Value",
			"6 function f: signature Result",
			"6 function f: signature Error",
		}},
		{"C#", "a.cs", `namespace A {
class Box<T> : Base<T>, IShape where T : Bound {
  private Dictionary<string, Item> items;
  public Task<Result> Put(T x, Option y) { Inner z = new Made(); return null; }
  public Setting Top { get; set; }
  public int Count;
}
}
`, []string{
			"2 class Box: extends Base",
			"2 class Box: extends IShape",
			"2 class Box: signature Bound",
			"3 field Box.items: field Dictionary",
			"3 field Box.items: field Item",
			"4 method Box.Put: signature Task",
			"4 method Box.Put: signature Result",
			"4 method Box.Put: signature Option",
			"4 method Box.Put: body Inner",
			"4 method Box.Put: body Made",
			"5 field Box.Top: field Setting",
		}},
		{"Kotlin", "a.kt", `package a
class Box<T : Bound>(val item: Item, other: Other?) : Base<T>(item), Shape {
  val list: List<Inner> = listOf()
  fun put(x: T, y: Option): Result { val z: Local = make(); return z }
}
typealias Alias = Right
val top: Setting = make()
`, []string{
			"2 class Box: signature Bound",
			"2 field Box.item: field Item",
			"2 class Box: field Other",
			"2 class Box: extends Base",
			"2 class Box: extends Shape",
			"3 field Box.list: field List",
			"3 field Box.list: field Inner",
			"4 method Box.put: signature Option",
			"4 method Box.put: signature Result",
			"4 method Box.put: body Local",
			"6 type Alias: alias Right",
			"7 variable top: variable Setting",
		}},
		{"C", "a.c", `typedef struct node { struct node *next; size_t n; value_t v; } node_t;
static result_t put(node_t *n, const struct option *o) { local_t x; return (cast_t)x; }
setting_t top;
`, []string{
			"1 field node.next: field node",
			"1 field node.v: field value_t",
			"2 function put: signature result_t",
			"2 function put: signature node_t",
			"2 function put: signature option",
			"2 function put: body local_t",
			"2 function put: body cast_t",
			"3 variable top: variable setting_t",
		}},
		{"C++", "a.cc", `template <typename T> class Box : public Base<T>, private ns::Mixin {
  std::vector<Item> items;
 public:
  Result put(const T& x, ns::Option* o) { Local y; return y; }
};
using Alias = Right;
`, []string{
			"1 class Box: extends Base",
			"1 class Box: extends ns::Mixin",
			"2 field Box.items: field std::vector",
			"2 field Box.items: field Item",
			"4 method Box.put: signature Result",
			"4 method Box.put: signature ns::Option",
			"4 method Box.put: body Local",
			"6 type Alias: alias Right",
		}},
	} {
		t.Run(tt.language, func(t *testing.T) {
			t.Parallel()
			l, ok := lang.ByName(tt.language)
			if !ok {
				t.Fatal("no such language")
			}
			ex, err := l.Extract(context.Background(), lang.Source{Path: tt.path, Language: l.Name, Text: []byte(tt.text)})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, r := range ex.Types {
				got = append(got, fmt.Sprintf("%d %s: %s %s", r.Line, r.UserKey, r.Kind, r.Name))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("types (-want +got):\n%s", diff)
			}
		})
	}
}
