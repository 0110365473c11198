#include "rules/agents.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <list>
#include <optional>
#include <unordered_map>

#include "core/digest.h"
#include "core/json.h"
#include "core/json_escapes.h"
#include "core/search.h"
#include "core/text.h"

namespace ccrules::rules {
namespace {

// --- JSON string literals

/// Decodes a literal piece by piece, so that a prefix can be compared without decoding all of it.
class Unescaper {
 public:
  explicit Unescaper(std::string_view literal) : text_(literal) {
    if (!text_.empty() && text_.front() == '"') text_.remove_prefix(1);
    if (!text_.empty() && text_.back() == '"') text_.remove_suffix(1);
  }

  /// Appends the next piece; false at the end.
  bool next(std::string& out) {
    if (at_ >= text_.size()) return false;
    const std::size_t escape = std::min(text_.find('\\', at_), text_.size());
    if (escape > at_) {
      const std::size_t size = std::min(escape - at_, kPieceBytes);
      out.append(text_.substr(at_, size));
      at_ += size;
      return true;
    }
    one_escape(out);
    return true;
  }

 private:
  static constexpr std::size_t kPieceBytes = 256;

  void one_escape(std::string& out) {
    constexpr std::string_view kReplacement = "\xEF\xBF\xBD";
    const char* at = text_.data() + at_;
    std::array<char, 4> decoded;
    char* end = decoded.data();
    if (json::unescape_one(at, text_.data() + text_.size(), end)) {
      out.append(decoded.data(), static_cast<std::size_t>(end - decoded.data()));
      at_ = static_cast<std::size_t>(at - text_.data());
      return;
    }
    // Not JSON's: the letter stands for itself.
    const char letter = at_ + 1 < text_.size() ? text_[at_ + 1] : '\\';
    at_ += letter == 'u' ? 6 : 2;
    if (letter == 'u') {
      out += kReplacement;
    } else {
      out += letter;
    }
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

/// The decoded beginning of a literal, at least `bytes` long where there is that much.
std::string beginning(std::string_view literal, std::size_t bytes) {
  std::string out;
  Unescaper unescaper(literal);
  while (out.size() < bytes && unescaper.next(out)) {
  }
  return out;
}

// --- agents

constexpr const char* kAgentFolder = "/.claude/agents";
constexpr std::string_view kMarker = "ccrules:agent ";
constexpr std::int64_t kReadAgainMs = 2000;
constexpr std::size_t kAgentFiles = 500;             // per folder
constexpr std::size_t kAgentFileBytes = 256 * 1024;
constexpr int kAgentFolderDepth = 3;
constexpr std::size_t kAgentEntries = 2000;          // looked at in a folder and those below: links may make it endless
constexpr std::size_t kBodyBytes = 8;                // a shorter body would match by accident
constexpr std::size_t kNameBytes = 100;
constexpr std::size_t kMarkerEdgeBytes = 256;        // where the main loop's system blocks are searched for the marker
constexpr std::size_t kFolders = 64;
constexpr std::size_t kSessions = 512;
constexpr std::size_t kSpawns = 64;                  // per session
constexpr std::size_t kNames = 2048;

/// One .claude/agents/NAME.md.
struct Agent {
  std::string name;
  std::string body;  ///< without front matter, white space at both ends and carriage returns
};

struct Folder {
  std::int64_t read_at_ms = -1;
  std::vector<Agent> agents;
};

/// A call of the Agent tool.
struct Spawn {
  std::uint64_t prompt = 0;  ///< prompt_hash
  std::string agent;
};

struct Session {
  std::size_t seen = 0;  ///< how many spawn calls of the history were read
  std::vector<Spawn> spawns;
};

/// A map that forgets what was used longest ago.
template <class T>
class Lru {
 public:
  explicit Lru(std::size_t most) : most_(most) {}

  T* find(const std::string& key) {
    const auto found = index_.find(key);
    if (found == index_.end()) return nullptr;
    rows_.splice(rows_.begin(), rows_, found->second);
    return &rows_.front().second;
  }

  /// Makes a new one when there is none. References to others stay valid unless they are forgotten.
  T& get(const std::string& key) {
    if (T* known = find(key)) return *known;
    if (rows_.size() >= most_) {
      index_.erase(rows_.back().first);
      rows_.pop_back();
    }
    rows_.emplace_front(key, T{});
    index_.emplace(key, rows_.begin());
    return rows_.front().second;
  }

 private:
  std::size_t most_;
  std::list<std::pair<std::string, T>> rows_;
  std::unordered_map<std::string, typename std::list<std::pair<std::string, T>>::iterator> index_;
};

std::uint64_t prompt_hash(std::string_view prompt) { return digest::hash64(text::trim(prompt)); }

/// "---\nname: reviewer\n...\n---\nBody": YAML front matter as Claude Code writes it; only `name` matters here.
Agent read_agent(std::string_view file, std::string name) {
  std::string text;
  text.reserve(file.size());
  for (const char c : file) {
    if (c != '\r') text += c;
  }
  std::string_view rest = text;
  if (rest.starts_with("\xEF\xBB\xBF")) rest.remove_prefix(3);
  if (rest.starts_with("---\n")) {
    rest.remove_prefix(4);
    while (!rest.empty()) {
      const std::size_t end = std::min(rest.find('\n'), rest.size());
      const std::string_view line = rest.substr(0, end);
      rest.remove_prefix(std::min(end + 1, rest.size()));
      if (text::trim(line) == "---") break;
      if (!line.starts_with("name:")) continue;
      std::string_view value = text::trim(line.substr(5));
      if (value.size() >= 2 && (value.front() == '"' || value.front() == '\'') && value.back() == value.front()) {
        value = value.substr(1, value.size() - 2);
      }
      if (!value.empty()) name = value.substr(0, kNameBytes);
    }
  }
  return Agent{std::move(name), std::string(text::trim(rest))};
}

/// {"subagent_type": "reviewer", "prompt": "..."}; nothing when it is no such call.
std::optional<Spawn> read_spawn(std::string_view input_json) {
  Result<json::Document> document = json::Document::open(input_json);
  if (!document.ok()) return std::nullopt;
  Result<json::Object> root = document->root_object();
  if (!root.ok()) return std::nullopt;
  Spawn spawn;
  bool has_prompt = false;
  while (root->next()) {
    const bool is_type = root->key() == "subagent_type";
    const bool is_prompt = root->key() == "prompt";
    if (!is_type && !is_prompt) continue;
    const Result<std::string_view> value = root->value().string();
    if (!value.ok()) return std::nullopt;
    if (is_type) spawn.agent = value->substr(0, kNameBytes);
    if (is_prompt) spawn.prompt = prompt_hash(*value);
    has_prompt = has_prompt || is_prompt;
  }
  if (spawn.agent.empty() || !has_prompt) return std::nullopt;
  return spawn;
}

bool is_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
}

/// The name in `<!-- ccrules:agent NAME -->`; empty when the text has none.
std::string marked_name(std::string_view text) {
  const std::size_t at = text.find(kMarker);
  if (at == std::string_view::npos) return {};
  const std::string_view rest = text.substr(at + kMarker.size());
  std::size_t size = 0;
  while (size < rest.size() && size < kNameBytes && is_name(rest[size])) ++size;
  return std::string(rest.substr(0, size));
}

/// Looks into the first and the last `edge` bytes of every system block.
std::string marker(const chat::Outline& outline, std::size_t edge) {
  for (const std::string_view literal : outline.system_json) {
    std::string name = marked_name(literal.substr(0, edge));
    if (name.empty() && literal.size() > edge) name = marked_name(literal.substr(literal.size() - edge));
    if (!name.empty()) return name;
  }
  return {};
}

/// The path behind "Primary working directory:" or "Working directory:" in one text.
std::string named_directory(std::string_view literal) {
  constexpr std::string_view kLabel = "orking directory:";
  constexpr std::size_t kPathBytes = 4096;
  // Prompts are long, and this runs for every request.
  if (!holds_rare(literal, kLabel)) return {};
  const void* found = memmem(literal.data(), literal.size(), kLabel.data(), kLabel.size());
  if (found == nullptr) return {};
  const auto at = static_cast<std::size_t>(static_cast<const char*>(found) - literal.data());
  const std::string rest = beginning(literal.substr(at + kLabel.size()), kPathBytes);
  return std::string(text::trim(std::string_view(rest).substr(0, rest.find('\n'))));
}

}  // namespace

std::string unescape(std::string_view literal) {
  std::string out;
  out.reserve(literal.size());
  Unescaper unescaper(literal);
  while (unescaper.next(out)) {
  }
  return out;
}

std::string working_directory(const chat::Outline& outline) {
  for (const auto* texts : {&outline.system_json, &outline.mid_system_json}) {
    for (const std::string_view literal : *texts) {
      if (std::string named = named_directory(literal); !named.empty()) return named;
    }
  }
  return {};
}

struct AgentFinder::Impl {
  Impl(const Files& files_, std::string home_) : files(files_), home(std::move(home_)) {}

  std::string find(const Query& query);

 private:
  const std::vector<Agent>& agents_of(const std::string& folder, std::int64_t now_ms);
  void read_folder(const std::string& path, int depth, std::size_t& looked_at, std::vector<Agent>& out);
  std::string by_file(const Query& query);
  std::string by_spawn(const Query& query);
  void remember_spawns(const Query& query);

  const Files& files;
  std::string home;
  Lru<Folder> folders{kFolders};
  Lru<Session> sessions{kSessions};
  Lru<std::string> names{kNames};  ///< session and agent id -> name: a subagent sends many requests
};

std::string AgentFinder::Impl::find(const Query& query) {
  const chat::Outline& outline = *query.outline;
  if (!outline.spawn_inputs_json.empty()) remember_spawns(query);
  if (query.agent_id.empty()) {
    std::string name = marker(outline, kMarkerEdgeBytes);
    return name.empty() ? "main" : name;
  }
  const std::string key = std::string(query.session) + '\0' + std::string(query.agent_id);
  if (const std::string* known = names.find(key)) return *known;
  std::string name = by_file(query);
  if (name.empty()) name = by_spawn(query);
  if (name.empty()) name = text::to_valid_utf8(query.hint.substr(0, kNameBytes));
  if (name.empty()) name = marker(outline, std::string_view::npos);
  if (!name.empty()) names.get(key) = name;
  return name;
}

std::string AgentFinder::Impl::by_file(const Query& query) {
  std::vector<std::string> places;
  // Only a real path: the project may also be a name that a header gave.
  if (query.project.starts_with('/') && query.project.find("..") == std::string_view::npos) {
    places.push_back(std::string(query.project) + kAgentFolder);
  }
  if (!home.empty()) places.push_back(home + kAgentFolder);
  for (const std::string& place : places) {
    const std::vector<Agent>& agents = agents_of(place, query.now_ms);
    std::size_t longest = 0;
    for (const Agent& agent : agents) longest = std::max(longest, agent.body.size());
    const Agent* best = nullptr;
    for (const std::string_view literal : query.outline->system_json) {
      if (longest == 0) break;
      const std::string prompt = beginning(literal, longest);
      for (const Agent& agent : agents) {
        if (prompt.starts_with(agent.body) && (best == nullptr || agent.body.size() > best->body.size())) best = &agent;
      }
    }
    if (best != nullptr) return best->name;
  }
  return {};
}

const std::vector<Agent>& AgentFinder::Impl::agents_of(const std::string& folder, std::int64_t now_ms) {
  Folder& known = folders.get(folder);
  if (known.read_at_ms < 0 || now_ms - known.read_at_ms >= kReadAgainMs || now_ms < known.read_at_ms) {
    known.agents.clear();
    std::size_t looked_at = 0;
    read_folder(folder, 0, looked_at, known.agents);
    known.read_at_ms = now_ms;
  }
  return known.agents;
}

void AgentFinder::Impl::read_folder(const std::string& path, int depth, std::size_t& looked_at, std::vector<Agent>& out) {
  for (const std::string& name : files.list(path)) {
    if (out.size() >= kAgentFiles || ++looked_at > kAgentEntries) return;
    if (name.ends_with(".md")) {
      Result<std::string> text = files.read(path + "/" + name);
      if (!text.ok() || text->size() > kAgentFileBytes) continue;
      Agent agent = read_agent(*text, name.substr(0, name.size() - 3));
      if (agent.body.size() >= kBodyBytes) out.push_back(std::move(agent));
    } else if (depth < kAgentFolderDepth && name.find('.') == std::string::npos) {
      read_folder(path + "/" + name, depth + 1, looked_at, out);
    }
  }
}

// The history repeats all spawn calls in every request: only those behind the last known count are new.
void AgentFinder::Impl::remember_spawns(const Query& query) {
  const std::vector<std::string_view>& inputs = query.outline->spawn_inputs_json;
  const std::string key = std::string(query.session) + '\0' + std::string(query.agent_id);
  Session& caller = sessions.get(key);
  if (caller.seen == inputs.size()) return;
  if (caller.seen > inputs.size()) caller.seen = 0;  // the history was compacted
  const std::size_t first = std::max(caller.seen, inputs.size() - std::min(inputs.size(), kSpawns));
  caller.seen = inputs.size();
  Session& session = sessions.get(std::string(query.session));
  for (std::size_t i = first; i < inputs.size(); ++i) {
    std::optional<Spawn> spawn = read_spawn(inputs[i]);
    if (!spawn) continue;
    if (session.spawns.size() >= kSpawns) session.spawns.erase(session.spawns.begin());
    session.spawns.push_back(std::move(*spawn));
  }
}

std::string AgentFinder::Impl::by_spawn(const Query& query) {
  const Session* session = sessions.find(std::string(query.session));
  if (session == nullptr || query.outline->first_user_json.empty()) return {};
  const std::uint64_t prompt = prompt_hash(unescape(query.outline->first_user_json));
  for (auto spawn = session->spawns.rbegin(); spawn != session->spawns.rend(); ++spawn) {
    if (spawn->prompt == prompt) return spawn->agent;
  }
  return {};
}

AgentFinder::AgentFinder(const Files& files, std::string home_directory)
    : impl_(std::make_unique<Impl>(files, std::move(home_directory))) {}
AgentFinder::~AgentFinder() = default;

std::string AgentFinder::find(const Query& query) { return impl_->find(query); }

}  // namespace ccrules::rules
