/* flow.pml: why the flow of messages cannot deadlock.
 *
 *            messages (K)
 *      loop ───────────────> writer ──> socket
 *       │ ^                  ^   │
 *  jobs │ │   loaded (K) ────┘   │        Three kinds of arrow end at the loop's
 *       v │  /                   │        inbox, and only they may wait: the
 *      disk  inbox <─────────────┤        reader's, the writer's, and the one that
 *             ^                  │        says that the connection has ended. Each
 *             └──────────────── reader    has a branch for the end.
 *
 * One connection at a time, LIVES of them one after the other. In each the peer
 * asks for ASKS blocks and the loop has SAYS messages to say. Up to FAULTS times,
 * at any point, the peer hangs up, the socket fails, the disk cannot load or all
 * is shut down.
 *
 *   I1  slots + operations under way = K, wherever the operations are
 *   I2  every counted send finds room: the loop and the disk never wait for it
 *   I3  a send to the inbox has a branch for the end
 *   I4  every way out gives the slot back exactly once, and every loan
 *   I5  the loop waits for its inbox alone
 *
 * VARIANT 1 is what is built. The others break one rule each and must fail:
 *   0  one goroutine a peer, one lane for loop and disk, no slots
 *   2  a slot comes back when its message leaves the lane, not when it is on the socket
 *   3  a connection that ends takes the slots of what was under way with it
 *   4  the reader's send has no branch for the end
 *   5  the writer's send has no branch for the end
 *   6  the lane of loaded blocks is emptied first and closed after
 *   7  a load that failed is not delivered, so its slot never comes back
 *   8  the loop sends without a slot when it has something to say
 */
#ifndef VARIANT
#define VARIANT 1
#endif
#ifndef K
#define K 1
#endif
#ifndef INBOX
#define INBOX 0
#endif
#ifndef FAULTS
#define FAULTS 0
#endif
#ifndef ASKS
#define ASKS 1
#endif
#ifndef SAYS
#define SAYS 1
#endif
#define LIVES 2

bool stop;             /* the torrent ends */
bool finished;         /* everybody has ended, and nothing was left behind */
byte alive;            /* processes that have not ended */
byte faults = FAULTS;  /* that may still happen */

#if VARIANT == 0

mtype = { say, job, block, done, ask };
chan lane = [K] of { mtype };
chan work = [K] of { mtype };
chan inbox = [K] of { mtype };

proctype Loop() {
  byte said, served;
  do
  :: said < SAYS -> lane!say; said++
  :: inbox?ask -> work!job
  :: inbox?done -> served++
  :: said == SAYS && served == ASKS + SAYS -> stop = true; break
  od;
  alive--
}
proctype Peer() {
  byte asked;
  do
  :: asked < ASKS -> inbox!ask; asked++
  :: lane?say -> inbox!done
  :: lane?block -> inbox!done
  :: stop -> break
  od;
  alive--
}
proctype Disk() { do :: work?job -> lane!block :: stop -> break od; alive-- }
init { atomic { alive = 3; run Loop(); run Peer(); run Disk() }; alive == 0 -> finished = true }

#else

mtype = { received, said, served, gone };  /* what the loop is told */

chan inbox = [INBOX] of { mtype };
chan messages[LIVES] = [K] of { bool };
chan loaded[LIVES] = [K] of { bool };      /* true: a block on loan; false: a load that failed */
chan jobs = [LIVES * K] of { byte };       /* loads of ended connections may be under way still */

bool shut[LIVES];        /* Close was called */
bool sealed[LIVES];      /* the lane of loaded blocks takes no more */
byte returned[LIVES];    /* goroutines of the connection that have ended */
byte saying, loading;    /* operations under way of the present connection */
byte loans;              /* blocks that somebody must release */

#define over(c) (shut[c] || stop)

/* tell sends to the inbox, or gives up when the connection is over. */
inline tell(what, c) { if :: inbox!what :: over(c) -> skip fi }

proctype Reader(byte c) {
  byte asked;
  do
  :: over(c) -> break
  :: atomic { faults > 0 -> faults--; shut[c] = true }; break   /* the peer hangs up */
#if VARIANT == 4
  :: asked < ASKS -> inbox!received; asked++
#else
  :: asked < ASKS -> tell(received, c); asked++
#endif
  od;                                           /* having asked for all, it waits for the socket */
  returned[c]++
}

/* written is a message on the socket: only now does its slot come back. */
inline written(what, c) {
#if VARIANT == 5
  inbox!what
#elif VARIANT == 2
  skip
#else
  tell(what, c)
#endif
}

proctype Writer(byte c) {
  bool block;
  do
  :: over(c) -> break
  :: messages[c]?block ->
#if VARIANT == 2
     tell(said, c);
#endif
     if
     :: saying--; written(said, c)
     :: atomic { faults > 0 -> faults--; shut[c] = true }; break   /* the socket fails */
     fi
  :: loaded[c]?block ->
#if VARIANT == 2
     tell(served, c);
#endif
     if
     :: atomic { loans = loans - block; loading-- }; written(served, c)
     :: atomic { faults > 0 -> faults--; shut[c] = true; loans = loans - block }; break
     fi
  od;
#if VARIANT == 6
  do :: loaded[c]?block -> loans = loans - block :: empty(loaded[c]) -> break od;
  sealed[c] = true;
#else
  atomic {
    sealed[c] = true;
    do :: loaded[c]?block -> loans = loans - block :: empty(loaded[c]) -> break od
  };
#endif
  returned[c]++
}

/* Conn joins both goroutines; then the loop is told. */
proctype Conn(byte c) {
  run Reader(c); run Writer(c);
  returned[c] == 2;
  if :: inbox!gone :: stop -> skip fi;
  alive--
}

/* Disk is a worker of the disk cache: it delivers what it loaded, or that it
 * could not, and never waits. */
proctype Disk() {
  byte c; bool block;
  do
  :: jobs?c ->
     if :: block = true :: atomic { faults > 0 -> faults--; block = false } fi;
     atomic {
       loans = loans + block;
       if
       :: sealed[c] -> loans = loans - block
#if VARIANT == 7
       :: !sealed[c] && !block -> skip
       :: !sealed[c] && block ->
#else
       :: else ->
#endif
          assert(nfull(loaded[c])); loaded[c]!block    /* I2 */
       fi
     }
  :: stop && empty(jobs) -> break
  od;
  alive--
}

proctype Loop() {
  byte c, asks, said_, done_, mslots = K, lslots = K;
  atomic { alive++; run Conn(0) };
  do
  :: stop -> break
  :: atomic { inbox?received -> asks++ }
  :: atomic { inbox?said -> mslots++; assert(mslots <= K) }
  :: atomic { inbox?served -> done_++; lslots++; assert(lslots <= K) }
  :: atomic { inbox?gone ->                     /* I4: what was under way is written off */
       c++; asks = 0; said_ = 0; done_ = 0; saying = 0; loading = 0;
#if VARIANT != 3
       mslots = K; lslots = K;
#endif
       if :: c < LIVES -> alive++; run Conn(c) :: else -> stop = true; break fi }
#if VARIANT == 8
  :: atomic { said_ < SAYS -> said_++; saying++;
#else
  :: atomic { said_ < SAYS && mslots > 0 -> said_++; mslots--; saying++;
#endif
       assert(saying <= K);                     /* I1 */
       assert(nfull(messages[c])); messages[c]!true }
  :: atomic { asks > 0 && lslots > 0 -> asks--; lslots--; loading++;
       assert(loading <= K);
       assert(nfull(jobs)); jobs!c }
  :: atomic { asks > 0 -> asks--; done_++ }     /* cancelled, or choked */
  :: said_ == SAYS && done_ == ASKS && mslots == K && lslots == K -> stop = true; break
  od;
  alive--
}

/* Shutdown comes at some point, or never. */
proctype Shutdown() {
  if :: atomic { faults > 0 -> faults--; stop = true } :: skip fi;
  alive--
}

init {
  atomic { alive = 3; run Loop(); run Disk(); run Shutdown() };
  alive == 0;
  assert(loans == 0);                           /* I4 */
  finished = true
}

#endif

ltl ends { <> finished }
