// Says whether histories of a key-value store are linearizable, each key by itself.
//
// Standard input has an operation a line, as JSON: what was asked, when, and, if there was an answer, what it was and
// when it came. An operation without an answer may have happened at any time since, or not at all. Exit code 0: all
// histories are linearizable; 1: some are not, and standard output says which operations contradict each other; 2: they
// could not be judged.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"sort"
	"strconv"
	"time"

	"github.com/anishathalye/porcupine"
)

const patience = time.Minute // for one key
const shown = 4              // operations on each side of where a history cannot go on

type operation struct {
	Client   int     `json:"client"`
	Node     int     `json:"node"`
	Key      string  `json:"key"`
	Kind     string  `json:"kind"`
	Argument string  `json:"argument"`
	Call     int64   `json:"call"`
	Return   *int64  `json:"return"`
	Result   *string `json:"result"` // null: no such key
}

// The state is the key's value, "" when there is none.
func step(state, input, output interface{}) (bool, interface{}) {
	value, asked, answer := state.(string), input.(operation), output.(operation)
	switch asked.Kind {
	case "set":
		return true, asked.Argument
	case "get":
		told := ""
		if answer.Result != nil {
			told = *answer.Result
		}
		return told == value, value
	}
	before, _ := strconv.ParseInt("0"+value, 10, 64)
	after := strconv.FormatInt(before+1, 10)
	return answer.Return == nil || *answer.Result == after, after
}

var model = porcupine.Model{
	Init: func() interface{} { return "" },
	Step: step,
}

func describe(asked operation) string {
	told, when := "no answer", ""
	if asked.Return != nil {
		told, when = "OK", fmt.Sprintf(" to %.6f", seconds(*asked.Return))
		if asked.Result != nil {
			told = *asked.Result
		} else if asked.Kind == "get" {
			told = "nothing"
		}
	}
	return fmt.Sprintf("client %d, node %d: %s %s -> %s, %.6f%s",
		asked.Client, asked.Node, asked.Kind, asked.Argument, told, seconds(asked.Call), when)
}

func seconds(nanoseconds int64) float64 { return float64(nanoseconds) / 1e9 }

func read() (map[string][]porcupine.Operation, error) {
	histories := map[string][]porcupine.Operation{}
	lines := json.NewDecoder(bufio.NewReader(os.Stdin))
	for lines.More() {
		var each operation
		if err := lines.Decode(&each); err != nil {
			return nil, err
		}
		if each.Kind != "get" && each.Kind != "set" && each.Kind != "incr" {
			return nil, fmt.Errorf("an operation of no known kind: %q", each.Kind)
		}
		end := int64(math.MaxInt64)
		if each.Return != nil {
			end = *each.Return
		} else if each.Kind == "get" {
			continue // says nothing and changes nothing
		}
		histories[each.Key] = append(histories[each.Key], porcupine.Operation{
			ClientId: each.Client, Input: each, Call: each.Call, Output: each, Return: end,
		})
	}
	return histories, nil
}

// The end of the longest order that could be found, and the answered operations that have no place in it.
func explain(key string, info porcupine.LinearizationInfo, history []porcupine.Operation) {
	var longest []porcupine.Operation
	for _, found := range info.PartialLinearizationsOperations()[0] {
		if len(found) > len(longest) {
			longest = found
		}
	}
	placed := map[operation]bool{}
	for _, each := range longest {
		placed[each.Input.(operation)] = true
	}
	fmt.Printf("%s: not linearizable. After %d operations that can be put in an order, the last of them\n", key, len(longest))
	for _, each := range longest[max(0, len(longest)-shown):] {
		fmt.Printf("    %s\n", describe(each.Input.(operation)))
	}
	fmt.Println("  none of these can come next:")
	sort.Slice(history, func(i, j int) bool { return history[i].Return < history[j].Return })
	left := 0
	for _, each := range history {
		if asked := each.Input.(operation); !placed[asked] && asked.Return != nil && left < shown {
			fmt.Printf("    %s\n", describe(asked))
			left++
		}
	}
}

func max(one, other int) int {
	if one > other {
		return one
	}
	return other
}

func main() {
	histories, err := read()
	if err != nil {
		fmt.Fprintln(os.Stderr, "checker:", err)
		os.Exit(2)
	}
	keys, operations, code := []string{}, 0, 0
	for key, history := range histories {
		keys = append(keys, key)
		operations += len(history)
	}
	sort.Strings(keys)
	for _, key := range keys {
		switch result, info := porcupine.CheckOperationsVerbose(model, histories[key], patience); result {
		case porcupine.Illegal:
			explain(key, info, histories[key])
			code = 1
		case porcupine.Unknown:
			fmt.Printf("%s: %d operations could not be judged within %s\n", key, len(histories[key]), patience)
			if code == 0 {
				code = 2
			}
		}
	}
	if code == 0 {
		fmt.Printf("%d operations on %d keys are linearizable\n", operations, len(keys))
	}
	os.Exit(code)
}
