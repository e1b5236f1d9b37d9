// Package figure writes numbers as people read them: the commands, `bipfs top` and the
// pages say the same of the same.
package figure

import "fmt"

// units are the units above the byte, each 1024 times the one before it.
const units = "KMGTPE"

// Bytes is a number of bytes, with one decimal from 1 KiB on.
func Bytes(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n)/1024, 0
	for f >= 1023.95 && unit < len(units)-1 { // 1024.0 of a unit is 1.0 of the next
		f, unit = f/1024, unit+1
	}
	return fmt.Sprintf("%.1f %ciB", f, units[unit])
}

// Percent is how much of all is here, from 0 to 100: 100 is all of it, and of nothing
// there is 0.
func Percent(here, all int64) int64 {
	switch {
	case all <= 0:
		return 0
	case here >= all:
		return 100
	}
	return min(99, max(0, int64(float64(here)/float64(all)*100)))
}

// Share is Percent in words; "-" of nothing.
func Share(here, all int64) string {
	if all <= 0 {
		return "-"
	}
	return fmt.Sprintf("%d %%", Percent(here, all))
}
