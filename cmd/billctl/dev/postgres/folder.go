package postgres

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// throwawayPattern names the folders of throw-away servers under the system's folder for temporary files.
const throwawayPattern = "billonce-pg-*"

// maxSocketPath is the longest path of a unix socket that every system accepts (sun_path has 104 bytes on macOS).
const maxSocketPath = 103

// folder is where one server keeps everything, locked for as long as this program uses it.
type folder struct {
	path  string
	lock  *os.File
	owner account
	// extra lies elsewhere because of the limit on socket paths; "" when it does not.
	extra string
}

func (f *folder) data() string     { return filepath.Join(f.path, "data") }
func (f *folder) draft() string    { return filepath.Join(f.path, "data.new") }
func (f *folder) password() string { return filepath.Join(f.path, "password") }
func (f *folder) port() string     { return filepath.Join(f.path, "port") }
func (f *folder) log() string      { return filepath.Join(f.path, "postgres.log") }

// mode lets the server's user pass through a folder of this program's, but not list it.
func (a account) mode() os.FileMode {
	if a.switched {
		return 0o711
	}
	return 0o700
}

// openFolder prepares the folder of a lasting server, and locks it. Where the server's user cannot reach the wanted place,
// as under /root, it is a folder for temporary files keyed by that place.
func openFolder(wanted string, owner account) (*folder, error) {
	path, err := filepath.Abs(wanted)
	if err != nil {
		return nil, fmt.Errorf("prepare the data folder: %w", err)
	}
	if !owner.canReach(filepath.Dir(path)) {
		sum := sha256.Sum256([]byte(path))
		path = filepath.Join(temporary(owner), fmt.Sprintf("billonce-%d-%s", os.Getuid(), hex.EncodeToString(sum[:6])))
	}
	if err := os.MkdirAll(filepath.Dir(path), owner.mode()); err != nil {
		return nil, fmt.Errorf("prepare the data folder: %w", err)
	}
	if err := os.Mkdir(path, owner.mode()); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("prepare the data folder: %w", err)
	}
	if err := mine(path); err != nil {
		return nil, err
	}
	if err := os.Chmod(path, owner.mode()); err != nil {
		return nil, fmt.Errorf("prepare the data folder: %w", err)
	}
	f := &folder{path: path, owner: owner}
	if f.lock, err = lockFile(filepath.Join(path, "lock")); err != nil {
		return nil, err
	}
	return f, nil
}

// mine refuses a folder that somebody else has laid where this program would keep a password.
func mine(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return fmt.Errorf("prepare the data folder: %w", err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || !ok || int(stat.Uid) != os.Geteuid() {
		return fmt.Errorf("prepare the data folder: %s is not a folder of this user", path)
	}
	return nil
}

// openThrowaway makes a folder that Stop removes.
func openThrowaway(owner account) (*folder, error) {
	path, err := os.MkdirTemp(temporary(owner), throwawayPattern)
	if err != nil {
		return nil, fmt.Errorf("make a folder for the database: %w", err)
	}
	f := &folder{path: path, owner: owner}
	if err := os.Chmod(path, owner.mode()); err != nil {
		return nil, errors.Join(fmt.Errorf("make a folder for the database: %w", err), f.remove())
	}
	// Locked under another name first: what lies unlocked under the final name is left over.
	draft := filepath.Join(path, "lock.new")
	if f.lock, err = lockFile(draft); err != nil {
		return nil, errors.Join(err, f.remove())
	}
	if err := os.Rename(draft, filepath.Join(path, "lock")); err != nil {
		return nil, errors.Join(fmt.Errorf("make a folder for the database: %w", err), f.remove())
	}
	return f, nil
}

// temporary returns a folder for temporary files that the server's user can reach.
func temporary(owner account) string {
	if place := os.TempDir(); owner.canReach(place) {
		return place
	}
	return "/tmp"
}

// errLocked says that a living process holds the lock.
var errLocked = errors.New("in use")

// lockFile takes an exclusive lock that ends with this process, whatever ends it.
func lockFile(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // a path of this package's own
	if err != nil {
		return nil, fmt.Errorf("lock the data folder: %w", err)
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return file, nil
	}
	_ = file.Close() // nothing was written
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, fmt.Errorf("the data folder %s is %w by another billctl: stop that one first", filepath.Dir(path), errLocked)
	}
	return nil, fmt.Errorf("lock the data folder: %w", err)
}

// socket makes the folder of the unix socket, elsewhere when the path would be too long for one.
func (f *folder) socket() (string, error) {
	path := filepath.Join(f.path, "socket")
	if len(filepath.Join(path, ".s.PGSQL.65535")) > maxSocketPath {
		short, err := os.MkdirTemp("/tmp", "billonce-socket-")
		if err != nil {
			return "", fmt.Errorf("make the socket folder: %w", err)
		}
		f.extra, path = short, short
	} else if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return "", fmt.Errorf("make the socket folder: %w", err)
	}
	return path, f.owner.own(path)
}

// release gives the folder up; what lies in it stays.
func (f *folder) release() error {
	var err error
	if f.extra != "" {
		err = os.RemoveAll(f.extra)
	}
	return errors.Join(err, f.lock.Close())
}

// remove gives the folder up and removes it with all that lies in it.
func (f *folder) remove() error {
	err := os.RemoveAll(f.path)
	if f.lock != nil {
		err = errors.Join(err, f.release())
	}
	if err != nil {
		return fmt.Errorf("remove the database's folder: %w", err)
	}
	return nil
}
