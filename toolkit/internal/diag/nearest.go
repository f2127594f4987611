package diag

import (
	"fmt"
	"slices"
)

// maxWord bounds what is compared: distance is quadratic in the length, and
// nothing that long is a slip of the finger.
const maxWord = 100

// Nearest is the candidate the author most likely meant by word, or "" if none
// is close. Upper and lower case, "-" and "_" count as equal, so that a name in
// another style is found at once. It allocates nothing: a generated definition
// can be wrong in ten thousand places, with as many candidates for each.
func Nearest(word string, candidates []string) string {
	if len(word) > maxWord {
		return ""
	}
	best, bestDistance := "", 1000
	for _, c := range candidates {
		if len(c) > maxWord {
			continue
		}
		limit := min(max(1, min(len(word), len(c))/3), bestDistance-1)
		if abs(len(word)-len(c)) > limit {
			continue // the distance is at least that
		}
		if d := distance(word, c, limit); d <= limit {
			best, bestDistance = c, d
		}
	}
	return best
}

// DidYouMean is a hint that names the nearest candidate, or "" if none is near.
func DidYouMean(word string, candidates []string) string {
	if near := Nearest(word, candidates); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return ""
}

// A Speller is DidYouMean for lists that authors make: a generated definition can
// be wrong ten thousand times over, with thousands of names to compare each time.
// It looks at a million names and gives no hints after that. A nil Speller gives
// none at all.
type Speller struct{ looked int }

const enough = 1_000_000

// DidYouMean is a hint that names the nearest candidate, or "".
func (s *Speller) DidYouMean(word string, candidates func() []string) string {
	if s == nil || s.looked > enough {
		return ""
	}
	names := candidates()
	s.looked += len(names)
	return DidYouMean(word, names)
}

func abs(n int) int { return max(n, -n) }

// fold makes letters equal that count as equal.
func fold(c byte) byte {
	switch {
	case c == '_':
		return '-'
	case 'A' <= c && c <= 'Z':
		return c + 'a' - 'A'
	}
	return c
}

// distance is the number of bytes to insert, delete, change or swap with a
// neighbour to get from a to b (optimal string alignment), or something above
// the limit if it is more than that. Only the cells of the table that are no
// further from its diagonal than the limit can matter.
func distance(a, b string, limit int) int {
	var rows [3][maxWord + 1]int
	before, last, row := &rows[0], &rows[1], &rows[2]
	for j := 0; j <= len(b); j++ {
		last[j] = j
	}
	far := limit + 1
	for i := 1; i <= len(a); i++ {
		lo, hi := max(1, i-limit), min(len(b), i+limit)
		row[lo-1] = far
		if lo == 1 {
			row[0] = i
		}
		least := row[lo-1]
		for j := lo; j <= hi; j++ {
			x, y := fold(a[i-1]), fold(b[j-1])
			cost := 1
			if x == y {
				cost = 0
			}
			d := min(row[j-1]+1, last[j-1]+cost)
			if j < i+limit { // else the cell above is outside of the band
				d = min(d, last[j]+1)
			}
			if i > 1 && j > 1 && x == fold(b[j-2]) && fold(a[i-2]) == y {
				d = min(d, before[j-2]+1)
			}
			row[j] = d
			least = min(least, d)
		}
		if least > limit && i > 1 {
			// A swap reaches back two rows.
			if m := slices.Min(last[max(0, i-1-limit) : min(len(b), i-1+limit)+1]); m > limit {
				return far
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
