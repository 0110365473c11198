#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>

/// Every number that limits something, named, with its unit and reason. Configuration may lower or raise
/// those that `limits`, `timeouts` and `retry` of ccrules.json name; these are the defaults.
namespace ccrules::limits {

using namespace std::chrono_literals;

// --- HTTP, both sides
inline constexpr std::size_t kHeaderBytes = 64 * 1024;        ///< Request or status line and all headers.
inline constexpr std::size_t kHeaderCount = 200;              ///< More is an attack, not a client.
inline constexpr std::size_t kTargetBytes = 8 * 1024;         ///< Path and query.
inline constexpr std::size_t kBodyBytes = 32u * 1024 * 1024;  ///< Anthropic's own cap on Messages.
inline constexpr std::size_t kReplyBytes =
    64u * 1024 * 1024;  ///< A reply that is not a stream and must be held whole.
inline constexpr std::size_t kErrorBodyBytes =
    256 * 1024;                                     ///< As much of an upstream's error body as we read.
inline constexpr std::size_t kConnections = 10000;  ///< Per process, client side.
inline constexpr int kAcceptBacklog = 4096;         ///< Connections the kernel holds until we accept them.
inline constexpr std::size_t kAcceptBurst = 64;     ///< Accepted at once before other events get their turn.
inline constexpr auto kAcceptPause = 100ms;         ///< After running out of file descriptors.
inline constexpr auto kAcceptWarnTime = 10s;        ///< Between two log lines about that.
inline constexpr std::size_t kBodyReserveBytes =
    4u * 1024 * 1024;  ///< Reserved on a client's word (Content-Length).
inline constexpr std::size_t kBodyBytesPerSecond =
    1024;  ///< A body slower than this, after kBodyStallTime, is an attack.
inline constexpr std::size_t kReadChunkBytes =
    256 * 1024;  ///< One read from a socket. One buffer per loop.
inline constexpr std::size_t kHeadReadBytes =
    16 * 1024;  ///< Read together with a request's head; the rest of a body goes where it is to stay.
inline constexpr std::size_t kReadAheadBytes =
    256 * 1024;  ///< Bytes a peer may send before we stop reading it.
inline constexpr std::size_t kTurnPieceBytes = 4 * 1024;  ///< More is not copied to be worked on together with others' (async/turn.h).
inline constexpr std::size_t kTurnBytes = 256 * 1024;     ///< That a loop's connections have waiting for the end of a turn, each way.
inline constexpr std::size_t kWriteHighBytes = 64 * 1024;  ///< Unsent bytes after which a writer waits.
inline constexpr std::size_t kWriteCopyBytes =
    272 * 1024;  ///< Unsent rest that a write copies: a read chunk and its framing.
inline constexpr std::size_t kInterimReplies = 16;  ///< 1xx heads before an upstream counts as hostile.
inline constexpr std::size_t kPoolIdlePerOrigin =
    512;                                       ///< Idle keep-alive connections kept per origin and worker.
inline constexpr auto kPoolIdleTime = 60s;     ///< Shorter than common upstream keep-alive limits.
inline constexpr auto kClientIdleTime = 120s;  ///< Between two requests of one client connection.
inline constexpr auto kHeaderTime = 30s;       ///< From the first byte of a head to its last.
inline constexpr auto kBodyStallTime = 60s;    ///< Without a single body byte from the client.
inline constexpr auto kWriteStallTime = 120s;  ///< A client that takes no byte for so long is gone.
inline constexpr auto kLingerTime = 2s;        ///< Reading on after an early answer, so that it arrives.
inline constexpr auto kLingerMostTime = 15s;   ///< The same for a client that keeps on sending.
inline constexpr std::size_t kSwallowBytes =
    256 * 1024;                           ///< An unread body this small is read off to keep the connection.
inline constexpr auto kDrainTime = 600s;  ///< SIGTERM: running streams may finish for so long.
inline constexpr auto kLeaveTime = 5s;    ///< After that: how long what has been cut may take to end.

// --- upstream
inline constexpr auto kConnectTime = 5s;
inline constexpr auto kFirstByteTime = 60s;
inline constexpr auto kEarlyReplyTime =
    1s;  ///< After a failed write: how long an upstream's early answer is waited for.
inline constexpr auto kIdleTime = 300s;
inline constexpr auto kUsageTime = 2s;  ///< After finish_reason: how long the usage chunk is waited for.
inline constexpr auto kCommitTime =
    10s;  ///< After a good head without content: commit, relay what is there, ping.
inline constexpr auto kPingTime = 15s;  ///< Longest silence towards a streaming client.
inline constexpr std::size_t kSecretBytes =
    6;  ///< A shorter api_key ("x", "none", "EMPTY") is no secret but stands for none, and in ordinary words.

// --- parsers
inline constexpr std::size_t kModelNameBytes = 1024;       ///< It goes into headers and the ledger.
inline constexpr std::size_t kZoneNameBytes = 64;          ///< "America/Argentina/ComodRivadavia" has 32.
inline constexpr std::size_t kZoneFileBytes = 256 * 1024;  ///< A compiled time zone; the largest has 4 KB.
inline constexpr std::size_t kJsonDepth = 128;             ///< Nesting of any JSON from outside.
inline constexpr std::size_t kRecalled = 8;                ///< Large containers of earlier bodies that a worker knows again,
inline constexpr std::size_t kRecalledBytes = 256 * 1024;  ///< each of at most this size: tools, which come with every request.
inline constexpr std::size_t kRecalledLeastBytes = 1024;   ///< Less is read as fast.
inline constexpr std::size_t kSseEventBytes =
    16u * 1024 * 1024;  ///< One event; images in tool results can be large.
inline constexpr std::size_t kErrorMessageBytes =
    4096;  ///< As much of an upstream's error text as a client is shown.
inline constexpr std::size_t kToolCalls =
    1024;  ///< Tool calls in one reply; more is a broken or hostile provider.

// --- token counting
inline constexpr std::size_t kMergeUndo =
    65536;  ///< Tokens of one unbroken run that a later seam may still undo.
inline constexpr std::size_t kImageHeadBytes =
    128 * 1024;  ///< Base64 read to find a picture's size: EXIF data stands before it.
inline constexpr std::size_t kTextureBytes = 16 * 1024;     ///< Of a text, looked at to tell what kind it is.
inline constexpr std::size_t kCountedBlocks = 65536;        ///< Content blocks whose count is kept (24 bytes each).
inline constexpr std::size_t kPromptDepth = 8;              ///< Blocks within blocks that are walked for counting.
inline constexpr std::size_t kAnchors = 4096;               ///< Prompts whose billed size is kept, over all sessions.
inline constexpr std::size_t kRatios = 1024;                ///< Providers and models with a learned ratio.
inline constexpr std::size_t kCountInlineBytes =
    16 * 1024;  ///< A body this small is counted at once: within a millisecond, whatever it holds.
inline constexpr auto kCountTokensTime = 10s;  ///< For a provider's own count; then ours is the answer.
inline constexpr std::int64_t kLearnAgainRows = 2000;        ///< Of the ledger, read at the start for learned ratios.

// --- rules (rules.md, chapter 7)
inline constexpr std::size_t kLuaBytes = 8u * 1024 * 1024;  ///< Per LuaJIT state.
inline constexpr auto kRuleTime = 5ms;                      ///< CPU time of one rule in a decision.
inline constexpr std::size_t kLuaSteps =
    2'000'000;                                 ///< Work units of our own library functions per decision.
inline constexpr auto kRuleLoadTime = 1000ms;  ///< CPU time for loading one rule file.
inline constexpr int kRuleStops = 3;      ///< Rules stopped in one decision, or as many kRuleTime used, before no more Lua runs in it.
inline constexpr int kLuaCallDepth = 32;  ///< Library functions calling back into Lua (pcall, gsub, sort).
inline constexpr std::size_t kLuaTextBytes = 1024 * 1024;  ///< Longest string a library function makes.
inline constexpr std::size_t kLuaSort = 10000;             ///< Most items of table.sort and pairs.
inline constexpr int kLuaUnpack = 250;                     ///< Most results of unpack.
inline constexpr std::size_t kFileBytes = 256u * 1024 * 1024;  ///< Of any file that is read whole; /dev/zero has no end.
inline constexpr std::size_t kRuleFileBytes = 1024 * 1024;
inline constexpr std::size_t kConfigValueBytes = 256 * 1024;  ///< A file that ${file:...} names: a key, a certificate.
inline constexpr std::size_t kRuleTreeNodes = 20000;  ///< Values in the table of one rule.
inline constexpr std::size_t kRuleTreeDepth = 24;     ///< Nesting of the table of one rule.
inline constexpr std::size_t kRules = 5000;           ///< Rules of one file.
inline constexpr std::size_t kTestFolderDepth = 8;    ///< How deep folders are searched for test files.
inline constexpr std::size_t kTestFolderEntries =
    50000;  ///< Entries looked at: a home directory must not hang us.
inline constexpr std::size_t kSweepValues = 100000;  ///< Decisions of one sweep.
inline constexpr std::size_t kTraceTextBytes = 1024;  ///< As much of a fact's text as a trace keeps.
inline constexpr std::size_t kRateMeters = 32;        ///< Groupings and windows of `rate` that are counted.
inline constexpr std::size_t kRateKeys = 10000;       ///< Sessions, users ... in one of them.
inline constexpr auto kRateWindow = 24h;              ///< Longest window of a rule's `rate`.
inline constexpr auto kRuleRenewTime =
    20ms;  ///< Longest loading of files whose state may be replaced between requests.
inline constexpr int kQuarantineStops = 3;  ///< Stops of one rule within kQuarantineTime that quarantine it.
inline constexpr auto kQuarantineTime = 60s;
inline constexpr std::int64_t kShadowPart = 50;  ///< Candidate rules get at most a fiftieth of a worker's time,
inline constexpr std::chrono::nanoseconds kShadowReserve = 50ms;  ///< and this much at once.
inline constexpr std::int64_t kImpactLeast = 20;  ///< Fewer judged decisions say nothing about new rules.
inline constexpr std::size_t kImpactMoves = 20;   ///< Kinds of change that a reload's report tells.
inline constexpr auto kImpactTime = 5s;           ///< No further past decisions are judged after so long.
inline constexpr std::size_t kWatchFiles = 1000;  ///< Files looked at.
inline constexpr auto kReloadTime = 600s;  ///< A reload runs all tests of the rules.
inline constexpr std::size_t kReloadBodyBytes = 4096;  ///< POST /reload
inline constexpr auto kWatchTime = 1s;            ///< How often files are looked at; a change counts once it rests so long.
inline constexpr int kHealthFailures = 3;        ///< Failures in a row after which rules see a provider as down,
inline constexpr auto kHealthDownTime = 30s;     ///< for so long; then as on trial until the next outcome.
inline constexpr auto kWarmTime = 5min;          ///< Lifetime of a prompt cache since its last use, unless it was written for 1 h.
inline constexpr std::size_t kWarmKeys = 20000;  ///< Sessions and targets whose prompt caches are remembered.
inline constexpr std::size_t kConversationBytes =
    256;  ///< Bytes of its first message that tell a session's conversations apart.
inline constexpr std::size_t kRuleZones = 64;  ///< Time zones that the rules of one set may name.

// --- compressed bodies (gzip, br, zstd)
inline constexpr std::size_t kDecodeStepBytes = 64 * 1024;  ///< Decoded at once before somebody takes it.
inline constexpr std::size_t kDecodeRatio =
    200;  ///< Decoded bytes per encoded one, beyond kDecodeFreeBytes: JSON has 3 to 30, a bomb 1000.
inline constexpr std::size_t kDecodeFreeBytes = 1024 * 1024;  ///< Decoded before the ratio is looked at.
inline constexpr int kZstdWindowLog = 23;  ///< 8 MB: the largest window that HTTP allows (RFC 9659).
inline constexpr std::size_t kCodingInlineBytes =
    64 * 1024;  ///< A larger body is compressed or decompressed off the loop: more than a millisecond.
inline constexpr std::size_t kCompressBytes = 2048;  ///< A shorter answer is not worth compressing.

// --- HTTP/2, towards providers
inline constexpr std::size_t kH2StreamBytes =
    256 * 1024;  ///< A stream's window: what may lie here of one reply that its client does not take.
inline constexpr std::size_t kH2ConnectionBytes = 16u * 1024 * 1024;  ///< Wide: slow streams must not stop others.
inline constexpr std::size_t kH2IdleFrames =
    10000;  ///< Frames in a row that bring nothing before a peer counts as hostile.
inline constexpr auto kStaleTime = 1s;  ///< A kept connection lost so soon after a request went out was closed before it.
inline constexpr int kH2Retries = 2;  ///< For requests that an upstream has refused without looking at them.
inline constexpr auto kH2PingTime = 30s;  ///< Silence with replies outstanding after which the peer is asked.
inline constexpr auto kH2PingAnswerTime = 15s; ///< Then it has so long to answer.

// --- fields that providers refuse
inline constexpr std::size_t kRefusedFields = 16;   ///< Fields remembered as refused by one model at one provider,
inline constexpr std::size_t kRefusedModels = 200;  ///< for so many models.
inline constexpr std::size_t kRefusedValueBytes = 200;  ///< A longer refused value is the client's to mend.
inline constexpr int kRefusedRetries = 3;  ///< Fields a provider may refuse one after the other in one request.

// --- the response cache (docs/cache.md)
inline constexpr std::size_t kCacheBytes = 500u * 1024 * 1024;  ///< All questions and answers together.
inline constexpr std::int64_t kCacheTop = 1000;                 ///< Most rows that /api/cache/top-prompts lists.
inline constexpr std::size_t kCacheFileQueueBytes = 64u * 1024 * 1024;  ///< Answers that wait to be written to cache.persist:
inline constexpr std::size_t kCacheFileQueue = 16384;      ///< what comes beyond them is kept in memory only.
inline constexpr std::size_t kCacheFileForgotten = 16384;  ///< Answers that wait to be deleted there: with more all of them are.
inline constexpr std::int64_t kCacheStrangerBytes = 256;  ///< The same question in the same dialect differs by less text than this.
inline constexpr std::size_t kCacheComparedBytes = 512 * 1024;  ///< Questions read for one request, to compare what they mean.

// --- packs (docs/packs.md)
inline constexpr std::size_t kPackBytes = 8u * 1024 * 1024;         ///< All files of a pack, unpacked.
inline constexpr std::size_t kPackArchiveBytes = 8u * 1024 * 1024;  ///< A pack as an archive.
inline constexpr std::size_t kPackFiles = 1000;                     ///< Files of a pack.
inline constexpr std::size_t kPackPathBytes =
    100;  ///< Path of a file inside a pack: what ustar's name field holds.
inline constexpr std::size_t kPackFolderDepth = 8;
inline constexpr std::size_t kPackIndexBytes = 4u * 1024 * 1024;  ///< An index of packs.
inline constexpr std::size_t kPackDepends = 64;                   ///< Packs installed together.
inline constexpr auto kPackFetchTime = 60s;                       ///< One download or git command.

// --- batches
inline constexpr std::size_t kBatchBodies = 8;         ///< A batch may be so many times as large as limits.body.
inline constexpr std::size_t kBatchItems = 100'000;    ///< Anthropic's own cap.
inline constexpr std::size_t kBatchIdBytes = 64;       ///< A custom_id.
inline constexpr int kBatchLanes = 4;                  ///< Requests of batches under way at one time, per worker.
inline constexpr int kBatchTries = 8;                  ///< Of one request while its provider is overloaded.
inline constexpr auto kBatchTime = std::chrono::hours(24);  ///< What has not begun by then expires (Anthropic's own).
inline constexpr auto kBatchPause = 30s;               ///< Before a request is tried again.
inline constexpr std::size_t kBatchPage = 100;         ///< Results read from the disk at one time; batches in a list at most.

inline constexpr std::size_t kToldLosses = 20;  ///< Losses that a refusal of strict mode names.

// --- providers with several keys or addresses
inline constexpr std::size_t kLaneSeats = 20000;  ///< Sessions whose lane is remembered.
inline constexpr auto kLaneSeatTime = 3600s;      ///< A session that was silent for so long takes any lane: no prompt cache is warm.
inline constexpr std::size_t kLanes = 64;         ///< Keys times addresses of one provider.

// --- money
inline constexpr std::int64_t kUsageTokens =
    1'000'000'000;                                      ///< A provider's count above this is not believed.
inline constexpr std::size_t kIterations = 256;  ///< Runs of models whose tokens one answer lists; those of more add to the last.
inline constexpr std::int64_t kUnknownOutputTokens =
    32000;  ///< Reserved for the answer of a model whose limit is not known, to a request without max_tokens.
inline constexpr std::size_t kSpendKeys = 10000;  ///< Sessions, users ... whose spending is kept in memory, each.
inline constexpr std::size_t kLedgerQueueRows = 65536;  ///< Rows waiting for the writer thread.
inline constexpr std::size_t kLedgerChunkRows =
    128;  ///< Rows moved from thread to thread as one block (about 100 KB).
inline constexpr std::size_t kLedgerBatchRows =
    1024;  ///< Rows that wake the writer before its interval is over.
inline constexpr std::size_t kLedgerTransactionRows = 8192;
inline constexpr auto kLedgerInterval = 100ms;    ///< A row is on its way to the disk after at most so long.
inline constexpr auto kLedgerRetryFirst = 100ms;  ///< Pause after a failed write; doubled up to the next one.
inline constexpr auto kLedgerRetryMost = 5s;
inline constexpr auto kLedgerCloseTime = 2s;     ///< Stopping: how long a locked database is tried again.
inline constexpr auto kLedgerPruneTime = 3600s;  ///< How often rows older than keep_days are deleted.
inline constexpr std::size_t kLedgerPruneRows = 2000;  ///< Deleted per transaction, so that writing goes on.
inline constexpr std::size_t kMappedFiles = 64;         ///< Files of holds mapped at once: a process has one, a test of many ledgers some.
inline constexpr std::size_t kLedgerReads = 2;          ///< Readings at once, of the pool's four threads.
inline constexpr std::size_t kLedgerReadsWaiting = 64;  ///< Further ones that wait for their turn.
inline constexpr std::size_t kLedgerAnswers = 64;       ///< Answers that are remembered for a moment.
inline constexpr auto kLedgerReadTime = 10s;            ///< One reading.
inline constexpr std::int64_t kListedRequests = 1000;   ///< GET /api/requests, one page.
inline constexpr int kNewsStreams = 32;                 ///< GET /api/stream, open at once.
inline constexpr auto kNewsTime = 500ms;                ///< How often such a stream looks for new requests,
inline constexpr std::int64_t kNewsRequests = 200;      ///< and how many it tells at once.
inline constexpr auto kNewsStatsTime = 5s;              ///< How often it tells sums.
inline constexpr std::size_t kPriceFileBytes = 8u * 1024 * 1024;  ///< A file of models and prices; ours have 40 KB.

inline constexpr std::int64_t kChoices = 2048;  ///< Answers to one request at once (`n`, 128 at OpenAI), or to the texts of one.

}  // namespace ccrules::limits
