package engine

import (
	"fmt"
	"slices"

	"bipfs/engine/control"
)

// How a torrent comes to another directory of the mount, and back to its own at the start.

// Move has t stand in another folder, as ParseFolder reads it. Its files are the same
// ones, open ones go on; a name that is taken there gets a suffix.
func (c *Client) Move(t *Torrent, folder string) error {
	folder, err := ParseFolder(folder)
	if err != nil {
		return err
	}
	if !c.enter() {
		return ErrClosed
	}
	defer c.wg.Done()
	c.adding.Lock()
	defer c.adding.Unlock()
	if t.removed.Load() {
		return ErrRemoved
	}
	if t.Guest() || t.Folder() == folder {
		return nil
	}
	state, err := c.settled(t, folder)
	if err != nil {
		return err
	}
	if err := t.saveState(state); err != nil {
		return fmt.Errorf("store where %v is: %w", t.id, err)
	}
	c.show(t, state)
	t.happens(control.Event{Event: evMoved})
	return nil
}

// settled is the state of t when it stands in a folder; it is to be stored. Client.adding
// is held.
func (c *Client) settled(t *Torrent, folder string) (torrentState, error) {
	c.mu.Lock()
	client, state := c.state, t.state
	var err error
	state.Folder, state.FolderSlots, err = c.way(folder, nil, &client.NextSlot)
	state.Name = c.freeName(t.wantedName(t.Info()), state.Folder, t)
	taken := client.NextSlot > c.state.NextSlot
	c.mu.Unlock()
	if err == nil && taken {
		err = c.takeSlots(client)
	}
	return state, err
}

// restored has a stored torrent, which nobody else sees yet, stand where it stood.
// changed is whether that is to be stored: it cannot be as it was.
func (c *Client) restored(t *Torrent) (changed bool, err error) {
	folder, wrong := ParseFolder(t.state.Folder)
	c.mu.Lock()
	free, client := c.freeSlot(t.slot), c.state
	var at string
	var slots []uint32
	if wrong == nil {
		at, slots, wrong = c.way(folder, t.state.FolderSlots, &client.NextSlot)
	}
	taken := client.NextSlot > c.state.NextSlot
	c.mu.Unlock()
	if !free {
		return false, fmt.Errorf("its slot %d is that of another", t.slot)
	}
	if wrong != nil {
		c.log.Warn("a torrent stands in the root: its folder cannot be", "torrent", t.id, "err", wrong)
	}
	changed = at != t.state.Folder || !slices.Equal(slots, t.state.FolderSlots)
	t.state.Folder, t.state.FolderSlots = at, slots
	if taken {
		err = c.takeSlots(client)
	}
	return changed, err
}
