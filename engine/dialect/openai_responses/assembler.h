#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dialect/call_ids.h"
#include "dialect/openai_responses/parts.h"
#include "dialect/unstreamed.h"

namespace ccrules::dialect::responses {

/// The members of an event that say something. Views into the Document.
struct Wire {
  std::string_view type;
  std::optional<std::int64_t> output_index;
  std::string_view item_id;
  std::int64_t part = 0;  ///< content_index or summary_index
  std::string_view delta;
  std::string_view whole;  ///< text, arguments, input or refusal of a .done event
  std::string_view item_json;
  std::optional<Envelope> response;
};

/// An output item that is being told. Items never interleave for the client: what belongs to a later one
/// waits until those before it are over.
struct Entry {
  std::optional<std::int64_t> output_index;
  std::string item_id;
  Item::Kind kind = Item::Kind::kOther;
  std::string call_id;
  std::string name;
  std::string extra_json;
  std::string final_json;  ///< the item as it came with its end
  struct Piece {
    std::int64_t part = 0;
    std::string text;
  };
  std::vector<Piece> waiting;
  std::string odd_arguments;  ///< arguments that are not an object as far as seen
  std::int64_t open_part = -1;
  enum class Source : std::uint8_t { kNone, kSummary, kText } source = Source::kNone;
  bool told = false;  ///< a delta or a whole text came
  bool block_open = false;
  bool passing = false;      ///< arguments go out as they come
  bool nearly_done = false;  ///< its text is complete; only its own end is missing
  bool done = false;
};

inline constexpr std::string_view kCheck = "check that its base_url is an OpenAI responses endpoint";

/// The state machine of one reply: what its events say, told in order, block by block.
class Assembler {
 public:
  explicit Assembler(const ReaderOptions& options) : options_(options) {}
  [[nodiscard]] bool started() const { return started_; }
  [[nodiscard]] bool ended() const { return ended_; }
  Result<void> apply(const Wire& wire, std::vector<chat::Event>& out);
  void fail(chat::StreamError error, std::vector<chat::Event>& out);
  /// The provider said that the answer is over. `envelope` may hold items that were never told.
  void end(const Envelope& envelope, std::vector<chat::Event>& out);
  void cut(const UnstreamedBody& start, std::vector<chat::Event>& out);

 private:
  void note(const Envelope& envelope, std::vector<chat::Event>& out);
  void start(std::vector<chat::Event>& out);

  /// By place; by id where a server gives no place (ids change between events on some); else the latest.
  Entry* find(const Wire& wire);
  Entry& new_entry(const Wire& wire, Item::Kind kind);
  Entry& entry_for(const Wire& wire, Item::Kind kind);
  void describe(Entry& entry, const Item& item);
  void add(const Wire& wire, std::vector<chat::Event>& out);
  void finish_item(const Wire& wire, std::vector<chat::Event>& out);
  /// The item's end: what of it was never told is taken from there.
  void settle(Entry& entry, const Item& item, std::string_view item_json);
  void describe_if_same(Entry& entry, const Item& item);
  void add_untold(const Envelope& envelope);

  void hold(Entry& entry, std::int64_t part, std::string_view text);
  void take(const Wire& wire, Item::Kind kind, std::string_view text, std::vector<chat::Event>& out);
  /// Servers that tell both a summary and the reasoning itself: the one that came first is shown.
  void take_reasoning(const Wire& wire, Entry::Source source, std::string_view text,
                      std::vector<chat::Event>& out);
  /// The end of a text. Some servers send it without any delta before (LM Studio).
  void take_whole(const Wire& wire, Item::Kind kind, std::vector<chat::Event>& out);

  /// Tells all that can be told in order.
  void pump(std::vector<chat::Event>& out);
  static bool is_call(const Entry& entry);
  /// @return false when it has to wait: a call whose name is not known yet
  bool show(Entry& entry, std::int64_t part, std::string_view text, std::vector<chat::Event>& out);
  void open(Entry& entry, chat::Block block, std::vector<chat::Event>& out);
  void open_call(Entry& entry, std::vector<chat::Event>& out);
  void show_arguments(Entry& entry, std::string_view text, std::vector<chat::Event>& out);
  void close(Entry& entry, std::vector<chat::Event>& out);
  /// Reasoning that only its provider can read gets a block too, so that it is sent back (G-8).
  void close_reasoning(Entry& entry, std::vector<chat::Event>& out);
  void close_block(Entry& entry, std::vector<chat::Event>& out);
  void delta(chat::DeltaKind kind, std::string_view text, std::vector<chat::Event>& out) const;
  [[nodiscard]] Result<void> check_size() const;

  ReaderOptions options_;
  std::string id_;
  std::string model_;
  std::vector<Entry> entries_;  ///< in the order they are told
  std::size_t current_ = 0;     ///< the first that is not over
  std::uint32_t next_index_ = 0;
  chat::LossNotes losses_;      ///< of the items so far
  std::size_t held_bytes_ = 0;  ///< all that was ever held back
  CallIds ids_{CallIds::Form::kUpTo64};
  bool started_ = false;
  bool ended_ = false;
  bool called_ = false;
  bool refused_ = false;
};

}  // namespace ccrules::dialect::responses
