package fs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// Connection is a mount's connection to the kernel, which outlives the process
// that serves it as long as another one holds it too.
//
//	Attach: mounts, answers INIT ──▶ Connection ── Serve ──▶ Server ──┬─ the mount ends
//	                                     ▲                            ├─ Leave
//	   Inherit ◀── Files ── (descriptors)┘                            └─ the process dies
//	      └────── Serve ──▶ …  reads what was left unanswered again
//
// The kernel says INIT once in the life of a mount, so that whoever mounts answers
// it, and writes down what was agreed. Whoever serves gives the request to go-fuse
// through a pair of sockets, throws the answer away, and puts the device into the
// place of the socket.
//
// Requests that a dead process had read, and not answered, are asked for again
// (FUSE_NOTIFY_RESEND, Linux 6.9). They come before all others, with resent in
// their numbers. A kernel that cannot ends them with ECONNABORTED, because there
// each process serves a clone of the device, which dies with it; or who had asked
// would wait for ever.
type Connection struct {
	dir    string
	mount  mountPoint
	device *os.File
	served *os.File // the device, or a clone of it; nil: nobody has served yet
	// inherited is that somebody else may hold the connection, too.
	inherited bool
	state     *os.File // a memory file: what was agreed, then the open files
	offer     []byte   // INIT, as the kernel sent it
	answer    []byte   // what it was told
}

// resent is set in the number of a request that the kernel sends once more.
const resent = 1 << 63

// Where things are in INIT and in its answer (fuse_init_in and fuse_init_out of
// fuse_kernel.h, behind their headers).
const (
	offerFlags, offerFlags2   = 52, 56
	answerFlags, answerFlags2 = 28, 48
	answerMaxWrite            = 36
	shortestOffer             = 60

	// hasResend is FUSE_HAS_RESEND in the second half of the flags.
	hasResend      = 1 << 7
	shortestAnswer = 52
)

// The memory file begins with a page for what was agreed.
//
//	0   "bipfskpt"
//	8   version, 4
//	12  lengths of the request and of the answer, 4 each
//	20  the mount's device, as the table of mounts has it, and zeros, 44
//	64  the request, the answer
//
// The open files follow (handles.go). Numbers are little endian.
const (
	stateName    = "bipfs-mount" // in /proc/PID/fd
	stateMagic   = "bipfskpt"
	stateVersion = 1
	stateDevice  = 20
	stateHeader  = 64
	statePage    = 4096
)

// Attach mounts at the directory dir and agrees with the kernel. Nobody serves the
// mount yet: whoever looks at it waits. The error is a sentence that says what to do.
func Attach(dir string, o Options) (*Connection, error) {
	o = o.withDefaults()
	dir, err := resolve(dir)
	if err != nil {
		return nil, err
	}
	if err := mountable(dir, o); err != nil {
		return nil, err
	}
	fd, err := attach(dir, o)
	if err != nil {
		return nil, err
	}
	c := &Connection{dir: dir, device: os.NewFile(uintptr(fd), device)}
	if c.mount, _, err = mountAt(dir); err == nil {
		err = c.agree(o)
	}
	if err != nil {
		c.Close()
		err = fmt.Errorf("%s does not answer: %w", dir, err)
		return nil, errors.Join(err, detach(dir, true))
	}
	return c, nil
}

// Inherit is the connection of a mount at dir that another process made. It takes
// the two descriptors, which are those of Files.
func Inherit(dir string, fds [2]int) (*Connection, error) {
	for _, fd := range fds {
		syscall.CloseOnExec(fd)
		// Or Go would wait for the device by its poller: who Leaves leaves it so.
		if err := syscall.SetNonblock(fd, false); err != nil {
			return nil, os.NewSyscallError("fcntl", err)
		}
	}
	c := &Connection{dir: dir, inherited: true, device: os.NewFile(uintptr(fds[0]), device), state: os.NewFile(uintptr(fds[1]), stateName)}
	err := c.recall()
	if err == nil {
		err = c.locate(dir)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// locate finds the mount at its directory by the table of mounts, where it can: who
// looks at the directory of an automount waits until whoever mounts for it has ended,
// and that waits for us.
func (c *Connection) locate(dir string) error {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	at, mounted, err := mountAt(abs)
	if err == nil && (!mounted || at.device != c.mount.device) {
		abs, err = resolve(abs) // there are links on the way, or it is not there any more
	}
	c.dir, c.mount.dir = abs, abs
	return err
}

// recall reads what was agreed.
func (c *Connection) recall() error {
	page := make([]byte, statePage)
	if _, err := c.state.ReadAt(page, 0); err != nil {
		return fmt.Errorf("what was left of the mount %s cannot be read: %w", c.dir, err)
	}
	version := binary.LittleEndian.Uint32(page[8:])
	offer, answer := binary.LittleEndian.Uint32(page[12:]), binary.LittleEndian.Uint32(page[16:])
	if string(page[:len(stateMagic)]) != stateMagic || version != stateVersion ||
		offer < shortestOffer || answer < shortestAnswer || max(offer, answer) > statePage/2-stateHeader {
		return fmt.Errorf("the mount %s was left by another version of bipfs: unmount it, and mount again", c.dir)
	}
	c.offer, c.answer = page[stateHeader:][:offer], page[stateHeader+offer:][:answer]
	device, _, _ := strings.Cut(string(page[stateDevice:stateHeader]), "\x00")
	c.mount = mountPoint{device: device, kind: mountType}
	return nil
}

// Files are the descriptors that hold the mount: the device and a memory file. They
// stay c's.
func (c *Connection) Files() [2]*os.File { return [2]*os.File{c.device, c.state} }

// Close gives the connection up. If nobody else has its descriptors, the mount is
// dead from then on.
func (c *Connection) Close() {
	c.device.Close()
	if c.served != nil {
		c.served.Close() // again, unless it is a clone
	}
	if c.state != nil {
		c.state.Close()
	}
}

// Ended reports whether the mount has ended: nobody can serve it any more.
func (c *Connection) Ended() bool {
	poll := []unix.PollFd{{Fd: int32(c.device.Fd()), Events: unix.POLLIN}}
	_, err := unix.Poll(poll, 0)
	return err == nil && poll[0].Revents&(unix.POLLERR|unix.POLLNVAL) != 0
}

// Shown reports whether the mount is what is to be seen at its directory. Who has it
// open goes on after a lazy unmount, and under another mount.
func (c *Connection) Shown() (bool, error) {
	at, mounted, err := mountAt(c.dir)
	return mounted && at == c.mount, err
}

// Unmount takes the mount from its directory, in use or not, if it is still there.
// It is for when nobody serves it.
func (c *Connection) Unmount() error {
	if shown, err := c.Shown(); err != nil || !shown || c.Ended() {
		return err
	}
	return detach(c.dir, true)
}

// agree answers INIT, and writes down what was said.
func (c *Connection) agree(o Options) error {
	b := make([]byte, 64<<10)
	n, err := ignoringEINTR(func() (int, error) { return syscall.Read(int(c.device.Fd()), b) })
	if err != nil {
		return os.NewSyscallError("read", err)
	}
	c.offer = b[:n:n]
	if n < shortestOffer {
		return fmt.Errorf("the kernel offers FUSE in %d bytes", n)
	}
	raw := fuse.NewProtocolServer(fuse.NewDefaultRawFileSystem(), fuseOptions(o, nil))
	c.answer = make([]byte, 4096)
	n, status := raw.HandleRequest([][]byte{c.offer}, [][]byte{c.answer})
	if !status.Ok() || n < shortestAnswer {
		return fmt.Errorf("the kernel and go-fuse do not agree: %v", status)
	}
	c.answer = c.answer[:n]
	if err := c.remember(); err != nil {
		return err
	}
	_, err = ignoringEINTR(func() (int, error) { return syscall.Write(int(c.device.Fd()), c.answer) })
	return os.NewSyscallError("write", err)
}

// remember makes the memory file.
func (c *Connection) remember() error {
	fd, err := unix.MemfdCreate(stateName, unix.MFD_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("memfd_create", err)
	}
	c.state = os.NewFile(uintptr(fd), stateName)
	page := append([]byte(stateMagic), make([]byte, statePage-len(stateMagic))...)
	binary.LittleEndian.PutUint32(page[8:], stateVersion)
	binary.LittleEndian.PutUint32(page[12:], uint32(len(c.offer)))
	binary.LittleEndian.PutUint32(page[16:], uint32(len(c.answer)))
	copy(page[stateDevice:stateHeader-1], c.mount.device)
	if n := copy(page[stateHeader:], c.offer) + copy(page[stateHeader+len(c.offer):], c.answer); n < len(c.offer)+len(c.answer) {
		return errors.New("the kernel's offer is too long")
	}
	_, err = c.state.WriteAt(page, 0)
	return err
}

// repeated is INIT as a server that comes later is to hear it: of what the kernel
// offered, what was agreed.
func (c *Connection) repeated() []byte {
	b := append([]byte(nil), c.offer...)
	for _, at := range [][2]int{{offerFlags, answerFlags}, {offerFlags2, answerFlags2}} {
		flags := binary.NativeEndian.Uint32(b[at[0]:]) & binary.NativeEndian.Uint32(c.answer[at[1]:])
		binary.NativeEndian.PutUint32(b[at[0]:], flags)
	}
	return b
}

// errTerms is that a server would not have agreed with the kernel as it was agreed.
var errTerms = errors.New("this version of bipfs cannot go on with the mount of another one: unmount it, and mount again")

// compatible compares a server's answer with what was agreed.
func (c *Connection) compatible(answer []byte) error {
	if len(answer) < shortestAnswer {
		return errTerms
	}
	for _, at := range []int{answerFlags, answerFlags2, answerMaxWrite} {
		if binary.NativeEndian.Uint32(answer[at:]) != binary.NativeEndian.Uint32(c.answer[at:]) {
			return errTerms
		}
	}
	return nil
}

// resume makes the server for n and gives it the device, as the descriptor at. It
// has read nothing yet.
func (c *Connection) resume(n *nodes, o Options) (raw *fuse.Server, at int, err error) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, 0, os.NewSyscallError("socketpair", err)
	}
	ours, at := pair[0], pair[1]
	defer syscall.Close(ours)
	if _, err := syscall.Write(ours, c.repeated()); err != nil {
		syscall.Close(at)
		return nil, 0, os.NewSyscallError("write", err)
	}
	raw, err = fuse.NewServer(n, "/dev/fd/"+strconv.Itoa(at), fuseOptions(o, n))
	if err != nil {
		return nil, 0, err // go-fuse has closed at
	}
	answer := make([]byte, 4096)
	read, err := syscall.Read(ours, answer)
	if err == nil {
		err = c.compatible(answer[:read])
	}
	if c.served = c.device; err == nil && !c.resends() {
		c.served, err = c.clone(0)
	}
	if err == nil {
		err = unix.Dup3(int(c.served.Fd()), at, unix.O_CLOEXEC)
	}
	if err != nil {
		syscall.Close(at)
	}
	return raw, at, err
}

// resends tells whether the kernel can send requests once more.
func (c *Connection) resends() bool {
	return binary.NativeEndian.Uint32(c.offer[offerFlags2:])&hasResend != 0
}

// cloneDevice is FUSE_DEV_IOC_CLONE.
const cloneDevice = 0x8004e500

// clone opens the device once more. What is read from a clone is answered through
// it, and ends with it.
func (c *Connection) clone(flags int) (*os.File, error) {
	fd, err := syscall.Open(device, syscall.O_RDWR|syscall.O_CLOEXEC|flags, 0)
	if err != nil {
		return nil, deviceError(err)
	}
	of := uint32(c.device.Fd())
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), cloneDevice, uintptr(unsafe.Pointer(&of))); errno != 0 {
		syscall.Close(fd)
		return nil, os.NewSyscallError("ioctl", errno)
	}
	return os.NewFile(uintptr(fd), device), nil
}

// notifyResend is FUSE_NOTIFY_RESEND.
const notifyResend = 7

// resend has the kernel send what was read and not answered once more.
func (c *Connection) resend() error {
	if !c.resends() {
		return nil
	}
	head := make([]byte, 16) // fuse_out_header: length, error, unique
	binary.NativeEndian.PutUint32(head, uint32(len(head)))
	binary.NativeEndian.PutUint32(head[4:], notifyResend)
	_, err := ignoringEINTR(func() (int, error) { return syscall.Write(int(c.device.Fd()), head) })
	return os.NewSyscallError("write", err)
}

func ignoringEINTR(call func() (int, error)) (n int, err error) {
	for {
		if n, err = call(); err != syscall.EINTR {
			return n, err
		}
	}
}

// fuseOptions are go-fuse's. n may be nil, where nothing is served.
func fuseOptions(o Options, n *nodes) *fuse.MountOptions {
	m := &fuse.MountOptions{
		Name:                subtype,
		MaxBackground:       o.MaxBackground,
		CongestionThreshold: o.MaxBackground * 3 / 4,
		MaxWrite:            longestRequest,
		// The kernel drops no bytes by itself: they do not change.
		ExplicitDataCacheControl: true,
		// ls -l asks for an attribute a file, which is ten times the time of the listing.
		DisableXAttrs: true,
		// Splicing is for descriptors. For our slices it only adds a pipe.
		DisableSplice: true,
		// open_by_handle_at(2) and NFS: lookups of "." and "..".
		ExtraCapabilities: fuse.CAP_EXPORT_SUPPORT,
		Logger:            slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
	}
	if n != nil {
		m.PanicHandler = n.panicked
	}
	return m
}
