package conf

import "strings"

// nearest returns the one of names that somebody who wrote s most likely meant,
// or "" if none is near.
func nearest(s string, names []string) string {
	best, limit := "", max(2, len(s)/4)+1
	low := strings.ToLower(s)
	for _, n := range names {
		if d := distance(low, strings.ToLower(n), limit); d < limit {
			best, limit = n, d
		}
	}
	if best != "" {
		return best
	}
	// The right key in the wrong table, or in none.
	for _, n := range names {
		if strings.EqualFold(last(n), last(s)) {
			return n
		}
	}
	return ""
}

func last(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }

// distance is the number of single-byte edits (with neighbours swapped as one)
// from a to b, or limit if it is not less.
func distance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	before, prev, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		least := i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(prev[j]+1, row[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
			least = min(least, row[j])
		}
		if least >= limit {
			return limit
		}
		before, prev, row = prev, row, before
	}
	return min(prev[len(b)], limit)
}
