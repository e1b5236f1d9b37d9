/* mem.pml: why waiting readers cannot use up the memory of blocks.
 *
 * Three torrents share MEMORY blocks. Two readers read two pieces at once each,
 * 0 and 1, 2 and 3, of torrents whose peers send; pieces 4 and 5 are wanted
 * first of all, but their peers never send a block. The disk may be frozen from
 * the beginning. With BIG piece 3 is longer than the memory.
 *
 *   absent ──wanted──> queued ──grant──> open ──all blocks──> dirty ──stored──> clean
 *                        ^ ^              │                     │
 *                        │ └────revoke────┘                     │ dropped unwritten
 *                        └───────── wanted again <── absent <───┘
 *
 *   - a lease is granted to the earliest deadline; nobody overtakes it
 *   - a lease has room for SHARE blocks at most; when they are full and the
 *     piece is not, they are spilled to the disk
 *   - while one waits for room, a lease that sees no block is revoked, and its
 *     torrent goes to the back of the queue
 *   - then what no reader expects is dropped unwritten, and in the end what a
 *     reader with a later deadline expects
 *   - a reader that waits holds nothing: it takes all its pieces at once
 *
 * Not in the model: a lease of a torrent whose peers do send, revoked because
 * they were slow once. For that case order at the back of the queue has to
 * rotate, and what a reader of a revoked torrent expects has to be dropped
 * before what others expect; without the two such a torrent can starve.
 *
 * VARIANT 1 is what is built. The others break one rule each and must fail:
 *   0  no leases: a block takes memory when it comes
 *   2  a reader holds the piece that is there while it waits for the other
 *   3  no lease is revoked
 *   4  nothing is spilled (BIG)
 *   5  what a reader expects is never dropped
 *   6  nothing is dropped unwritten
 *   7  a revoked torrent keeps its place in the queue (found by the run for liveness alone)
 */
#ifndef VARIANT
#define VARIANT 1
#endif
#ifndef MEMORY
#define MEMORY 4
#endif
#ifndef BIG
#define BIG 0
#endif
#define PIECES 6
#define LIVE 4                       /* pieces from here on have silent peers */
#define READERS 2
#define SHARE 2
#define NONE 255

mtype = { absent, queued, open, dirty, clean };

mtype state[PIECES] = absent;
byte room[PIECES], got[PIECES], spilled[PIECES], size[PIECES], rank[PIECES];
bool wanted[PIECES], held[PIECES];
bool silent[PIECES];                 /* its lease was revoked and no block has come since */
byte unused = MEMORY;
byte finished;
bool frozen;
bool bell;                           /* the ledger has something to look at */

#define here(p) (state[p] == dirty || state[p] == clean)
#define over (finished == READERS)

/* balanced: each block of memory is unused, leased or dirty, never two of them. */
inline balanced() {
  d_step {
    sum = unused;
    for (i : 0 .. PIECES - 1) {
      if
      :: state[i] == open -> sum = sum + room[i]
      :: state[i] == dirty -> sum = sum + got[i]
      :: else
      fi
    }
    assert(sum == MEMORY); sum = 0; i = 0
  }
}

/* drop gives the memory of dirty piece p back. */
inline drop(p) { state[p] = absent; unused = unused + got[p]; got[p] = 0; spilled[p] = 0; again = true }

/* take_back gives the memory of a lease that saw no block back; the piece waits
 * again, behind all others. */
inline take_back(p) {
  state[p] = queued; unused = unused + room[p]; room[p] = 0; bell = true;
#if VARIANT != 7
  silent[p] = true
#else
  skip
#endif
}

/* earliest sets head to the queued piece that is next: by deadline, those that
 * were revoked after all others. */
inline earliest() {
  head = NONE;
  for (i : 0 .. PIECES - 1) {
    if
    :: state[i] == queued && (head == NONE || silent[head] && !silent[i] ||
         silent[head] == silent[i] && rank[i] < rank[head]) -> head = i
    :: else
    fi
  }
}

/* reclaim makes room for head, one victim at a time. */
inline reclaim() {
  victim = NONE;
  for (i : 0 .. PIECES - 1) {
#if VARIANT != 6
    if
    :: victim == NONE && state[i] == dirty && !wanted[i] && !held[i] -> victim = i
    :: else
    fi
#else
    skip
#endif
  };
#if VARIANT != 5 && VARIANT != 6
  last = NONE;
  for (i : 0 .. PIECES - 1) {
    if
    :: state[i] == dirty && wanted[i] && !held[i] && !silent[head] && rank[i] > rank[head] &&
       (last == NONE || rank[i] > rank[last]) -> last = i
    :: else
    fi
  };
  if :: victim == NONE -> victim = last :: else fi;
  last = 0;
#endif
  if
  :: victim == NONE
  :: else -> drop(victim)
  fi
}

/* settle does all that can be done now: what is wanted is queued, what is not
 * is closed, the head of the queue gets its room. */
inline settle() {
  again = true;
  do
  :: !again -> break
  :: again ->
     again = false;
     for (i : 0 .. PIECES - 1) {
       if
       :: wanted[i] && state[i] == absent -> state[i] = queued
       :: !wanted[i] && state[i] == queued -> state[i] = absent
       :: VARIANT == 0 && !wanted[i] && state[i] == dirty -> drop(i)
       :: else
       fi
     };
     earliest();
     if
     :: head == NONE
     :: head != NONE && (VARIANT == 0 || unused >= (size[head] < SHARE -> size[head] : SHARE)) ->
        state[head] = open;
        room[head] = (size[head] < SHARE -> size[head] : SHARE);
        unused = unused - (VARIANT == 0 -> 0 : room[head]);
        again = true
     :: else -> reclaim()
     fi
  od;
  i = 0; head = 0; victim = 0
}

proctype Ledger() {
  byte i, head, victim, last, sum; bool again;
  do
  :: over -> break
  :: atomic { bell -> d_step { bell = false; settle() };
#if VARIANT != 0
       balanced()
#else
       skip
#endif
     }
  od
}

/* Patience revokes a lease that has seen no block for a while, if somebody
 * waits who was not revoked himself. */
#define waits(p) (state[p] == queued && !silent[p])
#define somebody (waits(0) || waits(1) || waits(2) || waits(3) || waits(4) || waits(5))
#define empty_lease(p) (state[p] == open && got[p] == 0 && spilled[p] == 0)
proctype Patience() {
#if VARIANT != 0 && VARIANT != 3
  do
  :: over -> break
  :: atomic { somebody && empty_lease(4) -> take_back(4) }
  :: atomic { somebody && empty_lease(5) -> take_back(5) }
  od
#else
  skip
#endif
}

/* Swarm brings the blocks of one piece into the room it has. */
proctype Swarm(byte p) {
  do
  :: over -> break
#if VARIANT == 0
  :: atomic { state[p] == open && got[p] < room[p] && unused > 0 -> unused--;
#else
  :: atomic { state[p] == open && got[p] < room[p] && got[p] + spilled[p] < size[p] ->
#endif
       got[p]++; silent[p] = false;
       if
       :: got[p] + spilled[p] == size[p] ->
          state[p] = dirty;
#if VARIANT != 0
          unused = unused + room[p] - got[p];
#endif
          room[p] = 0; bell = true
       :: else
       fi }
  od
}

/* Disk stores a verified piece, whose memory is then anybody's, and what a
 * piece that is longer than its room has so far. */
proctype Disk(byte p) {
  do
  :: over || frozen -> break
  :: atomic { state[p] == dirty && !held[p] ->
       state[p] = clean; unused = unused + got[p]; got[p] = 0; bell = true }
#if VARIANT != 4
  :: atomic { state[p] == open && got[p] == room[p] && got[p] + spilled[p] < size[p] ->
       spilled[p] = spilled[p] + got[p]; got[p] = 0 }
#endif
  od
}

proctype Reader(byte a; byte b) {
  atomic { wanted[a] = true; wanted[b] = true; bell = true };
#if VARIANT == 2
  if
  :: atomic { here(a) -> held[a] = true }; here(b)
  :: atomic { here(b) -> held[b] = true }; here(a)
  fi;
  atomic { held[a] = false; held[b] = false; wanted[a] = false; wanted[b] = false; finished++; bell = true }
#else
  atomic { here(a) && here(b) -> wanted[a] = false; wanted[b] = false; finished++; bell = true }
#endif
}

init {
  byte i;
  atomic {
    for (i : 0 .. PIECES - 1) { size[i] = 2 };
    rank[4] = 0; rank[5] = 1;                     /* the silent are wanted first of all */
    rank[2] = 2; rank[3] = 3; rank[0] = 4; rank[1] = 5;
#if BIG
    size[3] = MEMORY + 2;
#else
    if :: frozen = true :: frozen = false fi;
#endif
    wanted[4] = true; wanted[5] = true; bell = true;
    i = 0;
    run Ledger(); run Patience(); run Reader(0, 1); run Reader(2, 3);
    for (i : 0 .. LIVE - 1) { run Swarm(i); run Disk(i) }
  }
}

ltl reads { <> over }
