package turns

// Waiting returns how many wait.
func Waiting(t *Turns) (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range t.lines {
		n += l.waiting.Len()
	}
	return n
}

// Lines returns how many clients are remembered.
func Lines(t *Turns) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.lines)
}
