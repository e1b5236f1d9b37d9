package fs

import "testing"

func TestJudgeKernel(t *testing.T) {
	for release, want := range map[string][2]bool{ // serious, an error
		"6.18.44-x": {false, false}, "6.9": {false, false}, "7.0.0": {false, false}, "6.8.12-generic": {false, true},
		"5.11.0": {false, true}, "5.10.9": {true, true}, "4.19.0-21-amd64": {true, true}, "": {false, false}, "mine": {false, false},
	} {
		if serious, err := judgeKernel(release); serious != want[0] || (err != nil) != want[1] {
			t.Errorf("%q: %v, %v", release, serious, err)
		}
	}
	if release, _, _ := Release(); release == "" {
		t.Error("there is no kernel")
	}
}

func TestCapabilities(t *testing.T) {
	if mask, err := capabilities("Name:\tx\nCapPrm:\t0\nCapEff:\t000001ffffffffff\nCapBnd:\t0\n"); err != nil || mask != 1<<41-1 {
		t.Errorf("%x, %v", mask, err)
	}
	for _, status := range []string{"", "Name:\tx\n", "\nCapEff:", "\nCapEff:\tmany\n", "\nCapEff:\t11111111111111111\n"} {
		if mask, err := capabilities(status); err == nil {
			t.Errorf("%q: %x", status, mask)
		}
	}
}
