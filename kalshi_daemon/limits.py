"""Every bound of the daemon, each with its reason; the emulator's are in emulator/bounds.py. Seconds end in
`_S`, milliseconds in `_MS`.

Rules: a queue, a retry, a wait, a cache or a buffer without a number here is a defect. The names in `CHART_LIMITS`
are those that the charts use in `after` and `restart`; `charts/lint.py` checks both directions.
"""

from __future__ import annotations

from typing import Final

from kalshi_daemon.units import CENT, CONTRACT, DOLLAR, Count, Milliseconds, Money

# --- numbers that a chart and the code share
POLLED_AGE_MAX_S: Final = 2.0  # risk P13: a polled book counts while its read began no longer ago
POLICY_PROBE_WAIT_S: Final = 30.0  # a policy that failed three times is tried again after so long

# --- charts: how long a state may last. A pair (least, most) is drawn by back-off.
CHART_LIMITS: Final[dict[str, float | tuple[float, float]]] = {
    "preflight_limit": 30.0,  # six checks, of which four ask the exchange: a request has 10 s and three attempts
    "preflight_backoff": (1.0, 60.0),  # without end: an exchange that is away comes back
    "feeds_limit": 60.0,  # several dials and their back-off; then recovering counts the attempts
    "calibration_limit": 60.0,  # CALIBRATION_ROUNDS_MAX looks with pauses between, each of which reads every list whole
    "steady_limit": 300.0,  # trading for so long counts attempts from zero again
    "reminder_interval": 900.0,  # a person is told again so often that nothing trades
    "sweep_limit": 5.0,  # a kill is verified or alarmed within 5 s (risk.md)
    "sweep_backoff": 5.0,  # an order that may rest is looked for again at once, but not in a hot loop
    "recovery_backoff": (1.0, 60.0),  # RECOVERY_ATTEMPTS_MAX of them are some minutes
    "attempt_limit": 30.0,  # ATTEMPT_WAIT_S for the feeds, and one read
    "drain_limit": 15.0,  # three times a sweep: what cannot be verified by then is named
    "seal_limit": 5.0,  # one commit, JOURNAL_BUSY_S
    "dial_limit": 10.0,  # name, TCP, TLS and upgrade: CONNECT_TIMEOUT_S, and as long for the answer
    "subscribe_limit": 10.0,  # every channel answered; a snapshot of many markets is large
    "session_steady_limit": 60.0,  # a session that lived so long dials without back-off when it is dropped
    "session_backoff": (0.25, 30.0),  # full jitter, without end: the earlier trader gave up after ten tries
    "refused_interval": 900.0,  # a key that is refused waits for a person
    "sync_limit": 2.0,  # a book that is asked for comes within a second
    "poll_limit": 10.0,  # one round of batched reads; REST_TIMEOUT_S
    "polled_book_age": POLLED_AGE_MAX_S,
    "cooling_limit": 1.0,  # the buckets refill by the second
    "policy_probe_interval": POLICY_PROBE_WAIT_S,
}
# --- charts: how often a task is started again in place before its crash is an event
# five in a row with pauses between are some seconds: what fails on is no passing trouble
CHART_RESTARTS: Final[dict[str, int]] = {"service_restarts": 5, "task_restarts": 5, "poller_restarts": 5}
RESTART_PAUSE_S: Final = (0.25, 30.0)  # before it is: doubled with each crash in a row, so that none is a hot loop
RESTART_STEADY_S: Final = 60.0  # having lived so long, its next crash is the first one again

EXIT_LIMIT_S: Final = 1.0  # a task must end within it of being cancelled: time spent joining counts towards kill's 5 s
EVENT_QUEUE_MAX: Final = 1_000  # events waiting for one chart; charts hear tens a minute

# --- the event bus and the journal
BUS_QUEUE_MAX: Final = 20_000  # facts waiting for the writer: ten seconds of the worst burst measured
BUS_BATCH_MAX: Final = 256  # facts folded between two commits
JOURNAL_BUSY_S: Final = 5.0  # one commit; the fdatasync of a healthy disk takes a millisecond
JOURNAL_PIECE: Final = 1_000  # rows that a reader beside the daemon takes in one transaction: some milliseconds
JOURNAL_LOOKS_MAX: Final = 5  # at a log that another process writes to, until two are the same
JOURNAL_TAIL_MAX: Final = 10_000  # events that `journal tail` keeps until it shows them
JOURNAL_FOLLOW_S: Final = 0.5  # between two looks for new events
ORDERS_ASKED_MAX: Final = 5  # last orders of a journal that a new key is asked for, to prove that it is the account's
SNAPSHOT_EVENTS: Final = (
    10_000  # between two snapshots, which hold the daemon up for some 50 ms; read in a third of a second
)
SNAPSHOTS_KEPT: Final = 3  # the newest, and those that stand in for it
PROOF_PIECE: Final = 100  # events before the snapshot that are proven in one go, in some 3 ms,
PROOF_PAUSE_S: Final = 0.1  # and how long everything else has before the next
JOURNAL_MB: Final = 1_000_000  # bytes: the unit of KALSHI_JOURNAL_MAX_MB
JOURNAL_MAX_MB: Final = 256  # a start reads what a snapshot leaves of it; whole it is read once, when it is put aside
JOURNAL_MAX_MB_CAP: Final = 65_536
JOURNALS_KEPT: Final = 12
JOURNALS_KEPT_CAP: Final = 1_000
JOURNAL_SHARE_MAX: Final = 2  # what a new journal begins with is at most the limit by this: else each start made one
RUNS_CARRIED_MAX: Final = 1_000  # newest runs by whose ids orders of ours are known in the next journal
REPLAY_BREATH: Final = 1_000  # facts folded between two looks at the rest of the process, when a journal is replayed

# --- the recorder
RECORDING_GB: Final = 1_000_000_000
RECORDING_MAX_GB: Final = 10  # two days of a hundred lively markets
RECORDING_MAX_GB_CAP: Final = 65_536
RECORDING_BLOCK: Final = 1024 * 1024  # of records that are written together: some 6 ms to compress
RECORDING_BLOCKS_MAX: Final = 16  # that wait for the disk: half a minute of the liveliest stream
RECORDING_FLUSH_S: Final = 1.0  # what a process that is killed has not yet written
RECORDING_SEGMENT: Final = 64 * 1024 * 1024  # on the disk; what is removed when there is too much
RECORDING_DISK_LEAST: Final = 1024 * 1024 * 1024  # that is left free: the journal may be on the same disk
RECORDING_RETRY_S: Final = 60.0  # after a disk that failed
PROPOSALS_COMPARED: Final = 10_000  # decisions that wait for the journal to say what was meant of them: it does at once
RECORDING_SEAL_S: Final = 2.0  # at the end; the journal is sealed within the same `seal_limit`
EXPORT_ROWS_MAX: Final = 100_000  # of one row group of an export: some 50 MB in memory
RECORDING_BLOCK_CAP: Final = 64 * 1024 * 1024  # of one block in memory: long frames, and a checkpoint beside them

# --- our clock against the exchange's
CLOCK_EVIDENCE_MAX: Final = 32  # answers whose Date is kept
SENDING_OVER_DATES_MS: Final[Milliseconds] = 5_000  # how far over what Dates allow a frame's time is still believed
SENDING_ALONE_MAX_MS: Final[Milliseconds] = 86_400_000  # and over ours, where no Date is known
STAMP_AHEAD_MAX_MS: Final[Milliseconds] = 5_000  # of what a book's frame says; one further ahead of now is not the time
DATE_LEAST_MS: Final[Milliseconds] = 1_577_836_800_000  # 2020: a machine that lost its time
DATE_MOST_MS: Final[Milliseconds] = 4_102_444_800_000  # 2100: far beyond it no calendar goes
CLOCK_EVIDENCE_LIFE_MS: Final[Milliseconds] = 600_000  # in ten minutes an undisciplined clock drifts by some 30 ms

# --- requests
WRITER_LANES: Final = 4  # connections for order writes: one pool slows as requests in flight grow
WRITER_LANES_FOR_CANCELS: Final = 1  # of them: orders that wait for tokens or answers never keep a cancel waiting
WRITER_QUEUE_MAX: Final = 200  # orders that wait, more than may be open; sent later they would not be wanted any more
CANCEL_QUEUE_MAX: Final = 10_000  # cancels that wait: no more orders of one account may rest (api.md 4.3)
CANCEL_BATCH_MAX: Final = 100  # in one request: what one lost answer makes unknown
CANCEL_BATCH_S: Final = 0.1  # with no tokens a batch waits for those of so long: ten requests a second, not fifty
WRITE_SHARE_KEPT: Final = 4  # one in so many tokens of the write bucket is kept for cancels and reductions (risk P16)
WRITE_SHARE_INCREASES: Final = 2  # one in so many may go into orders that increase, at most (risk P16)
GROUP_ORDERS: Final = 3  # so many of the largest orders may match within 15 s, before their order group stops (P23)
WRITE_FAILURES_MAX: Final = 3  # order writes without a usable answer within WRITE_FAILURES_S open their breaker
WRITE_FAILURES_S: Final = 30.0
WRITE_PROBE_WAIT_S: Final = (5.0, 60.0)  # to the first probe; doubled with each that fails
WRITE_PROBE_S: Final = 5.0  # a probe without an answer is over
REST_TIMEOUT_S: Final = 10.0  # of one request; an answer that comes later is of no use to an order
REST_BODY_MAX: Final = 16 * 1024 * 1024  # the longest page has 1,000 orders of about a kilobyte
READ_FAILURES_MAX: Final = 6  # attempts of reads without an answer within READ_FAILURES_S: two reads, thrice each
READ_FAILURES_S: Final = 30.0
READ_PROBE_WAIT_S: Final = (2.0, 10.0)  # until an answer may close their breaker; shorter than a recovery's attempt
READ_PROBE_S: Final = 10.0  # as long as a request may take
READ_ATTEMPTS_MAX: Final = 3  # of one read; what fails thrice within some seconds is told to who asked
MARKET_REFUSALS_MAX: Final = 5  # orders of one market refused in a row within MARKET_REFUSALS_S open its breaker
MARKET_REFUSALS_S: Final = 60.0
MARKET_PROBE_WAIT_S: Final = (30.0, 600.0)  # to the first probe; doubled with each that fails
UNKNOWN_CODES_MAX: Final = 20  # names of error codes that are counted each on its own
DOCTOR_STEP_S: Final = 10.0  # each of the doctor's steps; one that takes longer has failed
DOCTOR_SLOW_S: Final = 1.0  # one that takes longer than this is a warning
DOCTOR_SNAPSHOTS: Final = 3  # asked for on one subscription, so that there are frames whose numbers can be compared
DOCTOR_LISTEN_S: Final = 5.0  # for them all to come
DOCTOR_LAG_MS: Final[Milliseconds] = 2_000  # of a frame; the time that answers tell is exact to a second
DOCTOR_BEHIND_MS: Final[Milliseconds] = 5_000  # of reads of the account; they were recorded to be 0.4 s behind
REGION_READ_S: Final = 86_400.0  # of when the location attested for the key ends
REGION_RETRY_S: Final = 3_600.0  # where it could not be read
REGION_WARNING_DAYS: Final = 14  # the doctor and the daemon warn so long before the location attested for the key ends
READ_PAGES_MAX: Final = 1_000  # pages of one list: a repeated cursor is found long before
READ_PAGE_SIZE: Final = 1_000  # the most that the exchange gives (api.md 4)
KEEPALIVE_EXPIRY_S: Final = 55.0  # below the 60 s after which load balancers commonly drop an idle connection
CONNECT_TIMEOUT_S: Final = 5.0  # name, TCP and TLS together; half of what one request may take
KEY_FILE_MAX: Final = 16 * 1024  # an RSA key of 4096 bits is 3.3 kB
READ_BACKOFF_S: Final = (0.25, 4.0)  # between two attempts of one read, drawn by back-off
# an older signature is refused, so a request can no longer arrive after it
REQUEST_LIFE_MS: Final[Milliseconds] = 60_000
CANCEL_ALL_LASTS_MS: Final[Milliseconds] = 60_000  # it may take orders of the minute after it (api.md 4.3)

REST_LANES: Final = 8  # connections of the REST client: order writes, and the reads beside them
WRITE_TOKENS_LEAST: Final = 100  # of the smallest tier (api.md 5), until the account's own limits were read
READ_TOKENS_LEAST: Final = 200
BALANCE_PER_S_LEAST: Final = 1  # calls a second and no burst, of the two smallest tiers (api.md 4.5)
BALANCE_PER_S: Final = 5  # of the others
BALANCE_SPACING: Final = 1.1  # calls go so much slower: two that are sent apart may arrive closer
ENDPOINT_COSTS_MAX: Final = 1_000  # rows of the list of costs; the exchange has some hundred endpoints
LIMITS_READ_S: Final = 900.0  # the account's limits are read again so often: an upgrade changes them
TOKENS_WAIT_LEAST_S: Final = 0.001  # of any wait for tokens: a shorter one is lost in the rounding of a clock's seconds
READ_TOKENS_WAIT_S: Final = 10.0  # a read waits so long for its tokens, then it has failed and nothing was sent
ORDER_TOKENS_WAIT_S: Final = 5.0  # as old as what an order was decided on may be: then it is withheld
SPENT_WINDOW_S: Final = 60  # of the share of the tokens that is shown
PACE_LEAST: Final = 1 / 16  # after a 429 the pace is halved, down to this share
PACE_RECOVERY_S: Final = 60.0  # from nothing to the whole pace
PACE_GRAIN_S: Final = 1.0  # several 429 within so long lower the pace once

# --- sockets
FRAME_MAX: Final = 16 * 1024 * 1024  # a snapshot of a deep book is 20 kB; a larger one is counted and ends the socket
FRAME_QUEUE_MAX: Final = 1_000  # messages waiting at a socket, either way; the peer is slowed beyond it
FRAMES_TOGETHER: Final = 64  # of one socket handled in one step: some milliseconds; then others have their turn
SOCKET_RECEIVE_BYTES: Final = 64 * 1024  # the library's own 4 KiB costs a fifth more a frame
SOCKET_CLOSE_S: Final = 0.5  # for the peer's close frame; then the stream is closed without it
UPGRADE_ANSWER_SHOWN_MAX: Final = 200  # bytes of it that are said
SOCKET_ANSWER_MAX: Final = 4 * 1024  # of a refused upgrade's answer, kept as evidence
PINGS_IN_FLIGHT_MAX: Final = 4  # more are not sent: the silence limit decides, not their number
PING_INTERVAL_S: Final = 5.0  # three of them fit into SILENCE_MAX_S
SILENCE_MAX_S: Final = 15.0  # no frame and no pong for so long: the session is dead (risk P13)
REFUSALS_MAX: Final = 3  # 401 or 403 in a row, other than for the clock
SUBSCRIPTIONS_COUNTED_MAX: Final = 32  # of one socket, ours among them: a peer may name as many as it likes
SOCKET_MARKETS: Final = 250  # markets of one session: what one gap costs
SOCKET_MARKETS_LEAST: Final = 20  # of MARKETS_MAX that is 150 sessions; the exchange allows 200 (api.md 5)
SOCKET_MARKETS_MOST: Final = 1_000  # a gap costs them all
SUBSCRIBE_CHUNK: Final = 250  # tickers in one command
CHANGE_ANSWER_S: Final = 10.0  # a change of the markets of a live socket is answered; as long as subscribing may take
# until a refused subscription or change of its markets is asked for again, doubled each time: a limit of commands is
# over within a second, one of markets when others went
REFUSED_COMMAND_S: Final = (1.0, 60.0)
FRAME_LOG_INTERVAL_S: Final = 60.0  # one line per kind of bad frame and minute
POLL_INTERVAL_S: Final = 1.0  # from one round to the next of reading the books by REST: half of what keeps them fresh
POLL_CHUNK: Final = 100  # books in one batched read (api.md 4.2)
POLL_PAUSE_S: Final = 0.1  # at least, between the end of a round and the next: other readers get their turn
POLL_SHARE: Final = 2  # one in so many tokens of the read bucket may go into reading books
SNAPSHOT_RETRY_S: Final = 10.0  # while books are polled, between two requests for snapshots of a live stream
MISSING_BOOKS_S: Final = 2.0  # between two looks for streamed markets without a book of their own
MISSING_BOOKS_LATER_S: Final = 30.0  # where asking SNAPSHOT_REQUESTS_MAX times did not bring them
# between two reads of POLL_CHUNK books that are held against the stream's: 1,000 take 100 s, and 1/200 of the tokens
AUDIT_INTERVAL_S: Final = 10.0
AUDIT_ATTEMPTS_MAX: Final = 3  # a book that moves at each look proves nothing; its next audit is a round away
AUDIT_QUIET_S: Final = 2.0  # reads lag what the stream has shown
SEQUENCE_REPEATS_MAX: Final = 3  # frames of one socket that are not new: its numbers mean something else by now
PRIVATE_AWAY_S: Final = 2.0  # the account is read by REST when its stream has been away for so long
PRIVATE_POLL_S: Final = 3.0  # from one such read to the next: half of what keeps the account followed
PRIVATE_AGE_MAX_S: Final = 6.0  # such a read counts while it began no longer ago
PRIVATE_BACK_POLL_S: Final = 1.0  # the same once it is streamed again: reads lag events by less (api.md 4.3)
AS_OF_GRAIN_MS: Final[Milliseconds] = 1_000  # the exchange's clock is known to a second, by its Dates
PRIVATE_DOUBT_S: Final = 5.0  # between two doubts of the account for private frames that were not read
SNAPSHOT_REQUESTS_MAX: Final = 3  # rounds of get_snapshot for one gap, before the session is dropped

# --- account
CALIBRATION_ROUNDS_MAX: Final = 4  # looks at a difference before it holds; reconciliation converges or stops
CALIBRATION_QUIET_S: Final = 2.0  # between two looks: positions lag fills by about a second (api.md 4.3)
SYNC_TICK_S: Final = 1.0  # levels that ask for a read are seen within it
SYNC_ORDERS_S: Final = 10.0  # private feeds have no sequence: what they lost is found within it
SYNC_BALANCE_S: Final = 30.0  # a full audit, of which the balance has a bucket of its own
SYNC_SILENCE_S: Final = 120.0  # no successful sync for so long places the hold `sync`
SYNC_ALARM_S: Final = 300.0  # and an alarm, once
SYNC_SETTLEMENTS_S: Final = 300.0  # settlements, which the closing of a market announces
SYNC_AFTER_CLOSE_S: Final = 90.0  # three audits, which read settlements too: what a market pays is shown later
QUIET_MS: Final[Milliseconds] = 5_000  # a difference must be seen twice with so much quiet between
# Fills and settlements are read again from so long before the last agreement; an agreement with reads older than half
# of it is none. So nothing that the exchange shows late falls between two reads.
READ_OVERLAP_MS: Final[Milliseconds] = 600_000
# So long before the last agreement what was filled or paid may be read again: the overlap, and the pace of settlements.
TOLD_AGAIN_MS: Final[Milliseconds] = READ_OVERLAP_MS + 300_000
# Whoever was away for longer asks the exchange's archive too. The archive begins weeks back, by no promise.
ARCHIVE_DOUBT_MS: Final[Milliseconds] = 86_400_000
READS_AGE_MAX_MS: Final[Milliseconds] = 300_000
UNEXPLAINED_LOOKS_MAX: Final = (
    3  # quiet looks in a row at cash that no reading of the balance explains; then it differs
)
GAP_LOOKS_MAX: Final = 4  # more looks that lag does not explain than looks that it does, at one difference: it is drift
GAP_VALUES_MAX: Final = 256  # newest values of each figure that lag may show
SETTLEMENTS_AGAIN_MS: Final[Milliseconds] = 30 * 86_400_000  # how far back a payout that was restated is looked for
FIGURE_TOLERANCE: Final[Money] = CENT  # of a position's cost, profit and fees: what the exchange's averages may round
READS_LAG_MS: Final[Milliseconds] = 1_000  # positions and balance may show so much less than the exchange says
DIVERGENCES_MAX: Final = 3  # rounds in a row that hold for the same figures; then audits go at the pace below
DIVERGED_AUDIT_S: Final = 300.0  # it waits for a person; asking on costs tokens
ACCESS_REFUSALS_MAX: Final = 3  # reads of the account in a row that met 401 or 403; then the hold `access`
# Orders are read from so long before the oldest that may live: clocks differ.
ORDERS_READ_BEFORE_MS: Final[Milliseconds] = 60_000
FOREIGN_NAMED_MAX: Final = 5  # of what is not ours, in the hold's cause; all are in the journal
AUDIT_LOG_INTERVAL_S: Final = 60.0  # between two lines that say why the account does not agree
HELD_SYNC_S: Final = 10.0  # between two reads of the account while the hold `access` is in force
FILLS_HELD_MAX: Final = 10_000  # fills that outran their order
FILLS_SORTED_MAX: Final = 100  # newest fills of a market, among which one that was told late is put in its place
TRADE_IDS_MAX: Final = 1_000_000  # trade ids kept for telling duplicates
ORDERS_KEPT_MAX: Final = 50_000  # records of orders, those that are over dropped first: a month of an order a minute

# --- levels, holds, and the way back to trading
FEEDS_LOST_S: Final = 3.0  # the level must be false for so long before the trader is told; the gate closes at once
LEVEL_CHECK_S: Final = 0.25  # a level that changes by time alone is seen within it
REFUSED_MARKET_MS: Final[Milliseconds] = 60_000  # two reads of active so far apart outweigh a 409 of the market
BLIND_S: Final = 10.0  # recovering without books for so long cancels what increases
WRITER_IDLE_S: Final = 2.0  # a sweep waits so long for requests on the wire
SWEEP_PROOFS: Final = 2  # complete lists in a row, read after the last cancel, that hold nothing of ours
SWEEP_WORK_S: Final = 4.5  # of the state's 5 s: the rest is for naming what may rest
DRAIN_WORK_S: Final = 14.0  # of the state's 15 s
SWEEP_PAUSE_S: Final = 0.25  # between two looks: reads lag a cancel by some hundred milliseconds (api.md 4.3)
RECOVERY_ATTEMPTS_MAX: Final = 8  # some minutes, by the back-off; then the hold `recovery` watches instead
ATTEMPT_WAIT_S: Final = 20.0  # one attempt waits so long for usable feeds, within the attempt's own limit
RECOVERED_S: Final = 30.0  # REST and feeds usable for so long lift the hold `recovery`
HOLD_WATCH_S: Final = 1.0  # a condition that clears a hold is seen within it
AGREEMENTS_AFTER_DIVERGENCE: Final = 2  # one could have met the same late read as the one that differed
ACTIVE_TWICE: Final = 2  # statuses in a row that lift the hold `exchange`
EXCHANGE_WATCH_S: Final = 10.0  # an order learns of a pause earlier, by its 409
MARKETS_READ_S: Final = 60.0  # between two rounds; openings are known by the clock, new markets by their event
MARKETS_READ_LEAST_S: Final = 10.0  # between two rounds, where the lifecycle channel misses one frame after another
FILTER_PATIENCE_MS: Final[Milliseconds] = 600_000  # a filter refuses a market that is in for so long before it goes
DISCOVERY_PAGES_MAX: Final = 10  # of one event or series: a wider one is to be named by its events
DISCOVERY_SPACING_S: Final = 0.1  # between two reads of a round: half of the smallest tier's tokens
DISCOVERY_DELAY_S: Final = 2.0  # from the word of a new market to its read: it may be unknown for a moment (api.md 4.2)
SERIES_READS_MAX: Final = 10  # schedules read again in a round
# Schedules, and lists of POLL_CHUNK events, that a start waits for, beside those of what is held; the rest is read
# while the first ones trade.
SERIES_AWAITED_MAX: Final = 10
EVENT_LISTS_AWAITED_MAX: Final = 1
EVENT_READS_MAX: Final = 30  # lists of POLL_CHUNK events read again in a round: all of MARKETS_MAX markets' events
EVENTS_UNLISTED_MAX: Final = 10  # events that a list does not show, read by themselves before the next
FEE_CHANGES_MAX: Final = 1_000  # announced changes of our series' fees that are kept, the next ones
READS_OUTRANKED_S: Final = 10.0  # a read that begins so shortly after other word of the same may show what was before
MARKETS_KNOWN_MAX: Final = 10_000  # markets that are remembered, in or out
SELECTION_LOOK_S: Final = 10.0  # times to a closing are judged so often
PAUSE_LEAD_MS: Final[Milliseconds] = 30_000  # nothing increases so short a time before a pause that is known
SCHEDULE_READ_S: Final = 3_600.0
SCHEDULE_WAIT_S: Final = 5.0  # of preflight: trading does not wait for it
GONE_KEPT_MS: Final[Milliseconds] = 3_600_000  # a market that is over is shown, and remembered, for so long
CLOCK_WATCH_S: Final = 1.0  # openings and closings happen on whole seconds
CLOCK_OFFSET_MAX_MS: Final[Milliseconds] = 5_000  # the exchange refuses signatures from about 15 s
WATCHDOG_S: Final = 1.0  # well within the unit's WatchdogSec
KILL_VERIFIED_MS: Final[Milliseconds] = 5_000  # risk.md: verified or alarmed within 5 s
CLOSING_RULES_S: Final = 1.0  # a step is answered well within it
ALARM_REPEAT_S: Final = 60.0  # the same alarm is journaled again after so long
CRASHES_MAX: Final = 5  # task crashes between two steady periods

# --- policy
DECISION_SPACING_S: Final = 0.02  # between two looks at what is dirty: deciding in batches costs less
REDECIDE_S: Final = 5.0  # a market without news is decided again after so long
DECISION_INTERVAL_S: Final = 0.25  # between two decisions on one market
POLICY_FAILURES_MAX: Final = 3  # crashes and slow inferences within POLICY_FAILURES_S open the policy's breaker
POLICY_FAILURES_S: Final = 60.0
POLICY_PROBE_WAIT_MAX_S: Final = 600.0  # each failed probe doubles the wait, up to this
POLICY_PROBE_S: Final = 5.0  # a probe without an answer is over
INFERENCE_BUDGET_S: Final = 0.05  # one batch; the loop of the whole process stands still meanwhile
MODEL_BYTES_MAX: Final = 64 * 1024 * 1024  # the shipped model has 40 kB; the unit's memory is bounded
HEARTBEAT_S: Final = 5.0  # older, and the loop is stuck: it comes round each REDECIDE_S / 2 at the latest
SPREAD_MAX_CENTS: Final = 20.0  # no increase into a market whose spread is wider: its mid says nothing
HISTORY_POINTS: Final = 10  # points of a market's window, the open one included (observation.md)
POINT_MS: Final[Milliseconds] = 100  # changes within so long are one point
ACTIVITY_SECONDS: Final = 60  # the window of the feature of recent volume (observation.md)

# --- risk (risk.md; percentages are of the bankroll, in basis points)
ORDER_COUNT_MAX: Final[Count] = 25 * CONTRACT  # P4
ORDER_COST_MAX: Final[Money] = 50 * DOLLAR  # P5
ORDER_COST_BPS: Final = 100  # P5: of the bankroll
OPEN_ORDERS_MARKET_MAX: Final = 4  # P6
OPEN_ORDERS_ACCOUNT_MAX: Final = 40  # P6
ORDERS_PER_S_MAX: Final = 5  # P16: what increases; at the smallest tier it is the share of the write bucket too
ORDERS_PER_MIN_MAX: Final = 60  # P16: a policy that wants more of a few hundred markets is in a loop
CLOSING_SOON_MS: Final[Milliseconds] = 300_000  # P2
CASH_RESERVE_BPS: Final = 2_000  # P10
ORDER_LIFE_S: Final = 900  # P22
ORDER_AGE_S: Final = 300  # an order of the policy rests so long: then the feature of its age says nothing more
# --- risk: hard caps, which no configuration passes; an account that needs more is another kind of business
ORDER_COUNT_CAP: Final[Count] = 1_000 * CONTRACT  # forty times the default
ORDER_COST_CAP: Final[Money] = 1_000 * DOLLAR  # twenty times the default
ORDERS_PER_MIN_CAP: Final = 600  # ten times the default; so many times are remembered
ORDER_COST_BPS_CAP: Final = 1_000  # ten times the default: ten losing orders must not end the account
OPEN_ORDERS_MARKET_CAP: Final = 20  # five times the default
OPEN_ORDERS_ACCOUNT_CAP: Final = 200  # the exchange's own limit is far above; a sweep cancels so many within its time

# --- configuration
MARKETS_MAX: Final = 3_000  # what one process is tested with (decision 0017)
MARKETS_DEFAULT: Final = 1_000  # what one process is measured with
SELECTIONS_MAX: Final = 100  # events and series: a round of reading them all, at its pace, fits into preflight's time
CLOSE_HOURS_CAP: Final = 1_000_000  # a century: every market
SCRIPT_MAX: Final = 10_000  # actions of the selector `scripted`
ORDER_SIZES_MAX: Final = 8  # the policy has 1 + 4 actions per size
SOCKETS_MAX: Final = 3  # order books, fills, positions

# --- what fills are charged, against the forecast (risk.md)
FEE_FILLS: Final = 20  # the last fills over which the two are compared
FEE_OFF_MAX: Final = 5_000  # micro-dollars a contract, half a cent, from which on it is an alarm
FEE_ORDERS_MAX: Final = 1_000  # orders whose rounding fees are added up, those without a fill for longest dropped first

# --- what people are shown
STATUS_HISTORY_MAX: Final = 200  # lines of status history kept for people
DEGRADED_NAMED_MAX: Final = 5  # markets, breakers or hosts in the cause of one degradation
RECENT_MAX: Final = 50  # decisions, fills and refusals kept for people to read
VIOLATIONS_KEPT: Final = 20  # named in the summary; all are counted
LEVEL_LOOKS_MAX: Final = 10  # looks, a second apart, within which a level is followed: a commit and a step take 6 s
SILENCE_SHOWN_MAX_S: Final = 3_600.0  # a longer silence is shown as this long
STATUS_LINE_MAX: Final = 200  # characters of the line that `systemctl status` shows
LIVE_VIEW_S: Final = 0.25  # between two panels in the terminal
LIVE_VIEW_LINE_S: Final = 5  # between two lines where there is no terminal
LOG_VALUE_MAX: Final = 2_000  # characters of one value in a line of the log: a frame of 16 MB is not repeated there
RECONNECTS_MAX: Final = 5  # in the window, and health says so (statecharts.md, connection)
RECONNECTS_WINDOW_MS: Final[Milliseconds] = 600_000  # ten minutes: a network that flaps, not one night's maintenance

# --- the demo
SECONDS_MAX: Final = 7 * 86_400.0  # of a demo: it stops by itself within a week
SPEED_MAX: Final = 1_000.0  # of a recording: frames are still one by one
DEMO_LOOK_S: Final = 0.5  # between two comparisons of the account with the emulated exchange's
RECORDING_FRAMES_MAX: Final = 1_000_000  # frames of one recording: about a gigabyte of JSON

# --- the backtest
BACKTEST_LOOK_S: Final = 1.0  # between two looks at what the account is worth
EQUITY_POINTS_MAX: Final = 2_000  # of the curve in a report: more than a picture is wide
BACKTEST_CASH_MAX: Final[Money] = 1_000_000 * DOLLAR  # to begin with
BACKTEST_FILLS_MAX: Final = 10_000  # told one by one in a report; all are counted

# --- service
NAMES_ALIKE: Final = 0.75  # of two variables, as difflib counts: all begin alike, and what is below says nothing
CONTROL_PATH_MAX: Final = 107  # bytes; the kernel's sun_path less its end
CONTROL_WAIT_S: Final = 30.0  # an operation answers within it: drain, seal and joining of a stop take some 22 s
CONTROL_CLIENT_S: Final = 5.0  # a client that neither sends nor reads for so long is dropped
CONTROL_LINE_MAX: Final = 64 * 1024  # a command and its reason
CONTROL_ANSWER_MAX: Final = 16 * 1024 * 1024  # a status of 3,000 markets is below 3 MB
CONTROL_CLIENTS_MAX: Final = 8  # people and scripts beside each other
CONTROL_CLIENTS_TOLD_MAX: Final = 32  # clients over the number above are told so up to here, then closed at once
CONTROL_KEPT_S: Final = 5.0  # between looks whether the control socket is still found at its path
CONTROL_ACCEPT_PAUSE_S: Final = 1.0  # without a descriptor for a client, until the next look
HTTP_CLIENTS_MAX: Final = 16  # scrapes beside each other
HTTP_HEAD_MAX: Final = 64 * 1024  # what common servers allow
HTTP_BODY_MAX: Final = 1024 * 1024  # the largest request of the protocol is a batch of some 20 kB
# a connection without a whole request: longer than KEEPALIVE_EXPIRY_S, so that the client closes first
HTTP_IDLE_S: Final = 75.0
HTTP_SEND_S: Final = 30.0  # a peer that does not take its answer for so long is dropped
