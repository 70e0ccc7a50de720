package protocol

import "slices"

// Report is what an exploration found.
type Report struct {
	States int   // visited
	Lies   []Lie // one of each sort that can come to be
	Stuck  int   // states from which no end can be reached
}

// Lie is a state that must not be, and a shortest way to one.
type Lie struct {
	What string
	Way  []string
}

type visit struct {
	from  int32 // index of the state before
	actor int
	step  string
}

// Explore visits every state that can be reached under the rules, breadth first. With until, it ends as soon as it has found that
// lie, and counts nothing as stuck.
func Explore(rules Rules, until string) Report {
	index := map[state]int32{initial(): 0}
	states, visits := []state{initial()}, []visit{{from: -1}}
	var edges [][2]int32
	var report Report
	for at := int32(0); int(at) < len(states); at++ {
		if wrong := states[at].lie(); wrong != "" && !report.has(wrong) {
			report.Lies = append(report.Lies, Lie{What: wrong, Way: way(states, visits, at)})
			if wrong == until {
				report.States = len(states)
				return report
			}
		}
		model := model{rules: rules, emit: func(actor int, step string, next state) {
			to, known := index[next]
			if !known {
				to = int32(len(states)) // far below 2^31
				index[next] = to
				states, visits = append(states, next), append(visits, visit{from: at, actor: actor, step: step})
			}
			edges = append(edges, [2]int32{at, to})
		}}
		model.steps(states[at])
	}
	report.States, report.Stuck = len(states), stuck(states, edges)
	return report
}

func (r Report) has(what string) bool {
	return slices.ContainsFunc(r.Lies, func(lie Lie) bool { return lie.What == what })
}

func way(states []state, visits []visit, at int32) []string {
	var steps []string
	for ; visits[at].from >= 0; at = visits[at].from {
		who := ""
		if actor := visits[at].actor; actor != nobody {
			who = "worker " + string(rune('A'+actor)) + " "
		}
		steps = append(steps, who+visits[at].step+" ("+string(states[at].status)+")")
	}
	slices.Reverse(steps)
	return steps
}

// stuck counts the states from which no end can be reached, by walking back from the ends.
func stuck(states []state, edges [][2]int32) int {
	slices.SortFunc(edges, func(a, b [2]int32) int { return int(a[1]) - int(b[1]) })
	reaches := make([]bool, len(states))
	var queue []int32
	for i, s := range states {
		if s.ended() {
			reaches[i] = true
			queue = append(queue, int32(i)) // far below 2^31
		}
	}
	for len(queue) > 0 {
		to := queue[0]
		queue = queue[1:]
		first, _ := slices.BinarySearchFunc(edges, to, func(edge [2]int32, to int32) int { return int(edge[1]) - int(to) })
		for _, edge := range edges[first:] {
			if edge[1] != to {
				break
			}
			if !reaches[edge[0]] {
				reaches[edge[0]] = true
				queue = append(queue, edge[0])
			}
		}
	}
	left := 0
	for _, ok := range reaches {
		if !ok {
			left++
		}
	}
	return left
}
