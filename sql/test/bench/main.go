// Command bench measures engines side by side; README.md tells how.
package main

import "fmt"

func main() {
	for _, e := range engines() {
		fmt.Println(e.Name(), e.Shapes())
	}
}
