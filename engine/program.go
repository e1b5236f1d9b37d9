package engine

import (
	"bytes"
	"os"
	"strconv"
	"sync"
	"time"
)

// Caller is who reads, as the kernel names it.
type Caller struct {
	TID uint32 // the thread; 0: nobody knows
}

// program is what is known of who reads. The zero program is one of which
// nothing is known.
type program struct {
	name   string // comm of the process; "": not known
	thread string // comm of the thread
	idle   bool   // I/O class idle: it is to disturb nobody (ionice -c3)
	urgent bool   // I/O class real-time
}

const (
	// longestName is how many bytes of a program's name the kernel tells.
	longestName = 15
	// programAge is how long what is known of a thread is taken to be so still. A
	// thread may execute another program, and its number may be another's soon.
	programAge = time.Second
	// mostPrograms is how many threads are known at a time.
	mostPrograms = 1024
)

// Deadlines of who is not like others.
const (
	// idleDelay is how much later what an idle reader needs is due: anything else
	// that is needed before then goes ahead, and nothing holds it up for ever.
	idleDelay = 20 * time.Second
	// urgentLead is how much sooner what a real-time reader needs is due.
	urgentLead = time.Second
)

// programs are the threads that have read lately.
type programs struct {
	proc string // where /proc is
	mu   sync.Mutex
	of   map[uint32]knownProgram
}

type knownProgram struct {
	program
	at time.Duration // when it was looked at
}

func (ps *programs) init(proc string) { ps.proc, ps.of = proc, map[uint32]knownProgram{} }

// find is the program of a thread. It asks the kernel once in programAge, for
// three short files that nothing holds up.
func (ps *programs) find(tid uint32, now time.Duration) program {
	if tid == 0 {
		return program{}
	}
	ps.mu.Lock()
	known, ok := ps.of[tid]
	ps.mu.Unlock()
	if ok && now-known.at < programAge {
		return known.program
	}
	p := ps.look(tid)
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if len(ps.of) >= mostPrograms {
		for id, k := range ps.of {
			if now-k.at >= programAge {
				delete(ps.of, id)
			}
		}
	}
	if len(ps.of) >= mostPrograms {
		clear(ps.of)
	}
	ps.of[tid] = knownProgram{p, now}
	return p
}

// look asks the kernel. A thread that has gone, or that is in a process that is
// hidden, is nobody's.
func (ps *programs) look(tid uint32) (p program) {
	dir := ps.proc + "/" + strconv.FormatUint(uint64(tid), 10)
	status, err := os.ReadFile(dir + "/status")
	if err != nil {
		return p
	}
	p.thread = field(status, "Name:")
	p.name = p.thread
	if process := field(status, "Tgid:"); process != "" {
		if b, err := os.ReadFile(ps.proc + "/" + process + "/comm"); err == nil {
			p.name = string(bytes.TrimSuffix(b, []byte("\n")))
		}
	}
	p.urgent, p.idle = priority(tid)
	return p
}

// field is the value of a line of /proc/PID/status.
func field(status []byte, name string) string {
	for line := range bytes.Lines(status) {
		if value, ok := bytes.CutPrefix(line, []byte(name)); ok {
			return string(bytes.TrimSpace(value))
		}
	}
	return ""
}

// delay is how much later than for others what the program needs now is due.
// It is no more than half of the time after which a read fails.
func (p program) delay(readTimeout time.Duration) time.Duration {
	switch {
	case p.idle && readTimeout > 0:
		return min(idleDelay, readTimeout/2)
	case p.idle:
		return idleDelay
	case p.urgent:
		return -urgentLead
	}
	return 0
}

// localOnly are the programs that get what is here and nothing else: they read
// everything, and nobody waits for them.
type localOnly struct {
	names map[string]bool // as the kernel cuts them
	mu    sync.Mutex
	said  map[string]time.Duration // when it was logged, by name
}

// sayAgain is how often it is logged that a program got only what is here.
const sayAgain = time.Hour

func (l *localOnly) init(names []string) {
	l.names, l.said = map[string]bool{}, map[string]time.Duration{}
	for _, name := range names {
		if name != "" {
			l.names[name[:min(len(name), longestName)]] = true
		}
	}
}

// holds tells whether p is one of them, and by which name.
func (l *localOnly) holds(p program) (name string, ok bool) {
	for _, name := range []string{p.name, p.thread} {
		if name != "" && l.names[name] {
			return name, true
		}
	}
	return "", false
}

// says reports whether it is to be logged that the program got an error.
func (l *localOnly) says(name string, now time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at, ok := l.said[name]; ok && now-at < sayAgain {
		return false
	}
	l.said[name] = now
	return true
}
