#include "rules/sample.h"

#include <algorithm>
#include <cctype>

#include "core/json.h"
#include "core/text.h"
#include "dialect/countable.h"
#include "rules/agents.h"
#include "tokens/prompt.h"

namespace ccrules::rules {
namespace {

constexpr std::int64_t kNoonUs = 1767614400LL * 1'000'000;  // 2026-01-05T12:00:00Z, a Monday: when test cases happen

/// A saved .http file: request line, headers, empty line, body.
struct Head {
  std::string method;
  std::string path;
  std::map<std::string, std::string> headers;
  std::string_view body;
};

bool is_http(std::string_view bytes) {
  const std::string_view line = bytes.substr(0, bytes.find('\n'));
  return !line.empty() && std::isupper(static_cast<unsigned char>(line.front())) != 0 &&
         (line.find(" /") != std::string_view::npos || line.find(" http") != std::string_view::npos);
}

Head read_head(std::string_view bytes) {
  Head head;
  bool first = true;
  while (!bytes.empty()) {
    const std::size_t end = std::min(bytes.find('\n'), bytes.size());
    const std::string_view line = text::trim(bytes.substr(0, end));
    bytes.remove_prefix(std::min(end + 1, bytes.size()));
    if (line.empty()) break;
    if (first) {
      const auto words = text::split(line, ' ');
      head.method = words.front();
      std::string_view target = words.size() > 1 ? words[1] : std::string_view("/");
      const std::size_t scheme = target.find("://");
      if (scheme != std::string_view::npos) {
        const std::size_t slash = target.find('/', scheme + 3);
        target = slash == std::string_view::npos ? std::string_view("/") : target.substr(slash);
      }
      head.path = target.substr(0, target.find('?'));
      first = false;
      continue;
    }
    const std::size_t colon = line.find(':');
    if (colon != std::string_view::npos) head.headers[text::lower(line.substr(0, colon))] = text::trim(line.substr(colon + 1));
  }
  head.body = bytes;
  return head;
}

/// Where clients of a dialect send such a body; Gemini's names its model and is made when that is known.
const char* path_of(std::string_view dialect) {
  if (dialect == "anthropic") return "/v1/messages";
  if (dialect == "openai_responses") return "/v1/responses";
  return dialect == "ollama" ? "/api/chat" : "/v1/chat/completions";
}

/// Which dialect a body is in, by the members only one of them has.
class Shape {
 public:
  Result<std::string> dialect(std::string_view body) {
    CCR_TRY(document, json::Document::open(body));
    CCR_TRY(root, document.root_object());
    while (root.next()) {
      const std::string_view key = root.key();
      // Nobody else has these.
      if (key == "contents") return std::string("gemini");
      if (key == "input" || key == "instructions") return std::string("openai_responses");
      if (key == "keep_alive" || key == "options") return std::string("ollama");
      if (std::find(std::begin(kAnthropic), std::end(kAnthropic), key) != std::end(kAnthropic)) ++anthropic_;
      if (std::find(std::begin(kOpenai), std::end(kOpenai), key) != std::end(kOpenai)) ++openai_;
      if (key == "max_tokens") max_tokens_ = true;
      if (key == "messages" || key == "tools") {
        CCR_TRY(raw, root.value().raw());
        look_into(raw);
      }
    }
    CCR_CHECK(root.done());
    if (anthropic_ != openai_) return std::string(anthropic_ > openai_ ? "anthropic" : "openai_chat");
    return std::string(max_tokens_ ? "anthropic" : "openai_chat");  // only Anthropic requires it
  }

 private:
  static constexpr std::string_view kAnthropic[] = {"system", "thinking", "stop_sequences", "top_k", "metadata", "output_config",
                                                    "context_management", "anthropic_version", "mcp_servers"};
  static constexpr std::string_view kOpenai[] = {
      "stream_options", "max_completion_tokens", "response_format", "n", "stop", "frequency_penalty", "presence_penalty",
      "reasoning_effort", "functions", "user", "seed", "logprobs", "parallel_tool_calls", "store"};

  void look_into(std::string_view raw) {
    for (const char* mark : {"\"input_schema\"", "\"tool_use\"", "\"tool_result\"", "\"cache_control\""}) {
      if (raw.find(mark) != std::string_view::npos) ++anthropic_;
    }
    for (const char* mark : {"\"image_url\"", "\"tool_calls\"", "\"tool_call_id\"", "\"developer\"", "\"function\""}) {
      if (raw.find(mark) != std::string_view::npos) ++openai_;
    }
  }

  int anthropic_ = 0;
  int openai_ = 0;
  bool max_tokens_ = false;
};

}  // namespace

Sample::Sample() {
  facts.wall_us = kNoonUs;
  identity.agent = "main";
  refresh();
}

void Sample::refresh() {
  facts.outline = &outline;
  facts.identity = &identity;
  facts.dialect = dialect;
  facts.path = path;
  facts.error = error;
  facts.provider = provider;
  facts.stop_reason = stop_reason;
  facts.usage = &usage;
  facts.counters = &counters;
  facts.body = body;
  facts.request = [this]() -> const chat::Request* {
    const dialect::Dialect* spoken = dialect::by_name(dialect);
    if (body.empty() || spoken == nullptr) return nullptr;
    auto read = spoken->read_request(json::padded(body));
    if (!read.ok()) return nullptr;
    whole = *std::move(read);
    if (spoken->model_in_path()) {
      whole.model = outline.model;
      whole.stream = outline.stream;
    }
    return &whole;
  };
  facts.header = [this](std::string_view name) -> std::string_view {
    const auto found = headers.find(std::string(name));
    return found == headers.end() ? std::string_view() : std::string_view(found->second);
  };
}

Result<void> Sample::read(std::string_view bytes) {
  std::string_view text = bytes;
  const dialect::Dialect* spoken = nullptr;
  dialect::Route route;
  if (is_http(bytes)) {
    Head head = read_head(bytes);
    path = head.path;
    headers = std::move(head.headers);
    text = head.body;
    route = dialect::find(head.method, path);
    spoken = route.spoken;
    if (spoken == nullptr) return bad_request("no model endpoint answers " + head.method + " " + path);
  } else {
    if (!text::trim(text).starts_with('{')) {
      return bad_request("this is no request: neither a JSON object nor a saved .http file with its head");
    }
    Shape shape;
    CCR_TRY(name, shape.dialect(text));
    spoken = dialect::by_name(name);
    if (spoken == nullptr) return bad_request("this version cannot read requests of dialect " + name);
    path = path_of(name);
  }
  dialect = spoken->name();
  body = std::string(text::trim(text));
  CCR_TRY(read_outline, spoken->outline(json::padded(body)));
  outline = std::move(read_outline);
  if (spoken->model_in_path()) {
    if (!route.model.empty()) outline.model = dialect::decoded_segment(route.model);
    outline.stream = outline.stream || route.stream;
    if (outline.model.empty()) return bad_request("the request names no model; add \"model\": \"NAME\" to it, or save it as a .http file");
    if (route.model.empty()) path = "/v1beta/models/" + outline.model + (outline.stream ? ":streamGenerateContent" : ":generateContent");
  }
  std::string countable;
  if (!spoken->counts_by_block()) {
    CCR_TRY(written, dialect::countable_body(*spoken, body, outline.model));
    countable = std::move(written);
  }
  CCR_TRY(prompt, tokens::read_prompt(countable.empty() ? body : countable, outline.model));
  facts.tokens = prompt.tokens;
  facts.tokens_p95 = prompt.p95;
  facts.tokens_grade = tokens::grade_name(prompt.grade);
  facts.tokens_exact = prompt.grade == tokens::Grade::kExact;

  const auto header = [this](const char* name) {
    const auto found = headers.find(name);
    return found == headers.end() ? std::string() : found->second;
  };
  const auto either = [](std::string first, const std::string& second) { return first.empty() ? second : std::move(first); };
  identity.session = outline.session_id;
  for (const char* name : {"x-session-id", "x-claude-code-session-id", "x-ccrules-session"}) {
    identity.session = either(header(name), identity.session);
  }
  identity.project = either(header("x-ccrules-project"), working_directory(outline));
  identity.user = either(header("x-ccrules-user"), outline.user_id.starts_with('{') ? std::string() : outline.user_id);
  identity.request_class = header("x-claude-code-request-class");
  identity.agent_id = header("x-claude-code-agent-id");
  identity.agent = either(header("x-ccrules-agent"), either(header("x-claude-code-agent-type"), identity.agent_id.empty() ? "main" : ""));
  const std::string user_agent = header("user-agent");
  identity.client = user_agent.starts_with("claude-cli/") ? "claude-code"
                    : user_agent.starts_with("Anthropic/") ? "anthropic-sdk"
                    : user_agent.starts_with("OpenAI/")    ? "openai-sdk"
                                                           : user_agent.substr(0, user_agent.find_first_of("/ "));
  refresh();
  return {};
}

}  // namespace ccrules::rules
