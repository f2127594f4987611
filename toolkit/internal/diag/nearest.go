package diag

import (
	"fmt"
	"strings"
)

// Nearest is the candidate the author most likely meant by word, or "" if none
// is close. Upper and lower case, "-" and "_" count as equal, so that a name in
// another style is found at once.
func Nearest(word string, candidates []string) string {
	// Distance is quadratic in the length; nothing that long is a slip of the
	// finger.
	if len(word) > 100 {
		return ""
	}
	best, bestDistance := "", 1000
	for _, c := range candidates {
		if len(c) > 100 {
			continue
		}
		limit := max(1, min(len(word), len(c))/3)
		if abs(len(word)-len(c)) > limit {
			continue // the distance is at least that
		}
		d := distance(fold(word), fold(c))
		if d > limit || d >= bestDistance {
			continue
		}
		best, bestDistance = c, d
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

func abs(n int) int { return max(n, -n) }

func fold(s string) string {
	return strings.ToLower(strings.ReplaceAll(s, "_", "-"))
}

// distance is the number of bytes to insert, delete, change or swap with a
// neighbour to get from a to b (optimal string alignment).
func distance(a, b string) int {
	before := make([]int, len(b)+1)
	last := make([]int, len(b)+1)
	row := make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
