#include <algorithm>
#include <array>
#include <utility>

#include "core/text.h"
#include "dialect/expected_bytes.h"
#include "dialect/fit.h"
#include "dialect/foreign_members.h"
#include "dialect/gemini/contents_writer.h"
#include "dialect/gemini/parts.h"
#include "dialect/gemini/schema.h"
#include "dialect/kept_state.h"
#include "dialect/misplaced_blocks.h"
#include "dialect/tools.h"
#include "dialect/unknown_members.h"
#include "dialect/words.h"

namespace ccrules::dialect::gemini {
namespace {

constexpr std::size_t kMostStops = 5;
constexpr std::size_t kMostFunctions = 512;

/// Thinking budgets that stand for effort words at models that know budgets only.
constexpr std::array<std::pair<std::string_view, std::int64_t>, 6> kBudgets = {
    {{"minimal", 512}, {"low", 2048}, {"medium", 8192}, {"high", 24576}, {"xhigh", 32768}, {"max", 32768}}};

std::string upper(std::string_view word) {
  std::string out(word);
  for (char& c : out) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return out;
}

class RequestWriter {
 public:
  RequestWriter(const chat::Request& request, const Capabilities& target, chat::LossNotes& losses)
      : request_(request),
        target_(target),
        losses_(losses),
        same_format_(request.dialect == kName),
        generation_(generation_of(target.model.empty() ? request.model : target.model)),
        writer_(out_) {}

  Result<std::string> write() {
    if (!same_format_) CCR_CHECK(refuse_kept_state(request_, target_));
    CCR_CHECK(take_extra_members());
    out_.reserve(expected_bytes(request_));
    writer_.begin_object();
    write_system();
    writer_.key("contents").raw({});  // written straight behind it
    CCR_CHECK(write_contents(out_, request_, target_, losses_));
    CCR_CHECK(write_tools());
    write_generation_config();
    note_user();
    for (const auto& [name, json] : extra_) writer_.member_raw(name, json);
    writer_.end_object();
    note_misplaced_blocks(request_, losses_);
    if (!same_format_) note_unknown_members(request_, losses_);
    return std::move(out_);
  }

 private:
  Result<void> take_extra_members() {
    if (request_.extra_json.empty()) return {};
    if (!same_format_) {
      note_foreign_members(request_, "Gemini has no such member", losses_);
      return {};
    }
    CCR_TRY(document, json::Document::open_view(request_.extra_json));
    CCR_TRY(members, document.root_object());
    while (members.next()) {
      std::string name(members.key());
      CCR_TRY(raw, members.value().raw());
      if (name == "generationConfig") {
        own_config_ = raw;
      } else if (name == "toolConfig") {
        own_tool_config_ = raw;
      } else if (name.starts_with("contents[].") || name.starts_with("systemInstruction.")) {
        losses_.add(name, "this build knows no such member of a content");
      } else {
        extra_.emplace_back(std::move(name), raw);
      }
    }
    return members.done();
  }

  void write_system() {
    bool opened = false;
    for (const chat::Block& block : request_.system) {
      json::TextView shown;
      if (const auto* text = std::get_if<chat::Text>(&block.value)) {
        note_cache_control(text->cache_control_json, losses_);
        shown = without_attribution(text->text, losses_);
      } else {
        note_uncarried_system(block, losses_);
      }
      if (is_blank(shown)) continue;
      if (!opened) writer_.key("systemInstruction").begin_object().key("parts").begin_array();
      opened = true;
      writer_.begin_object().member("text", shown).end_object();
    }
    if (opened) writer_.end_array().end_object();
  }

  // --- tools

  Result<void> write_tools() {
    CCR_TRY(sent, tools_to_send(request_, target_, {kName, "Gemini models"}, losses_));
    if (sent.size() > kMostFunctions) {
      return bad_request("the request offers " + std::to_string(sent.size()) + " tools, but Gemini models take " +
                         std::to_string(kMostFunctions) + "; offer fewer or route the request elsewhere");
    }
    std::vector<std::size_t> own;
    std::vector<std::size_t> functions;
    for (const std::size_t i : sent) {
      const chat::Tool& tool = request_.tools[i];
      const bool verbatim = same_format_ && !is_function(tool) && !tool.original_json.empty();
      (verbatim ? own : functions).push_back(i);
    }
    const bool forced = request_.tool_choice && request_.tool_choice->kind != chat::ToolChoiceKind::kAuto &&
                        request_.tool_choice->kind != chat::ToolChoiceKind::kNone;
    if (sent.empty()) {
      if (forced) losses_.add("tool_choice", "no tool is left to choose");
    } else {
      writer_.key("tools").begin_array();
      if (!functions.empty()) {
        writer_.begin_object().key("functionDeclarations").begin_array();
        for (const std::size_t i : functions) write_function(request_.tools[i]);
        writer_.end_array().end_object();
      }
      for (const std::size_t i : own) writer_.raw(request_.tools[i].original_json);
      writer_.end_array();
    }
    if (!own_tool_config_.empty()) {
      writer_.member_raw("toolConfig", own_tool_config_);
    } else if (!functions.empty() && request_.tool_choice) {
      write_tool_choice(*request_.tool_choice, functions);
    }
    return {};
  }

  void write_function(const chat::Tool& tool) {
    note_cache_control(tool.cache_control_json, losses_);
    const KnownTool* known = is_function(tool) || !tool.schema_json.empty() ? nullptr : known_tool(tool.type);
    const json::TextView description =
        known != nullptr && !tool.has_description ? json::TextView(known->description) : json::TextView(tool.description);
    const std::string_view schema = known != nullptr ? known->schema_json : std::string_view(tool.schema_json);
    writer_.begin_object().member("name", sent_function_name(tool.name));
    if (!description.empty()) writer_.member("description", description);
    if (!takes_nothing(schema)) {
      if (target_.json_schema) {
        writer_.member_raw("parametersJsonSchema", google_json_schema(schema));
      } else {
        writer_.member_raw("parameters", openapi_schema(schema));
      }
    }
    if (same_format_) write_members(tool.extra_json);
    writer_.end_object();
    if (known != nullptr) losses_.add("tools[]." + tool.type, "sent as a function with the same inputs");
    if (!same_format_) note_tool_members(tool);
  }

  void note_tool_members(const chat::Tool& tool) {
    if (tool.strict && *tool.strict) losses_.add("tools[].strict", "Gemini models have no strict schemas");
    if (tool.extra_json.empty()) return;
    auto document = json::Document::open_view(tool.extra_json);
    auto members = document ? document->root_object() : Result<json::Object>(document.error());
    while (members && members->next()) losses_.add("tools[]." + std::string(members->key()), "Gemini has no such member");
  }

  void write_tool_choice(const chat::ToolChoice& choice, const std::vector<std::size_t>& sent) {
    if (choice.parallel_tool_calls && !*choice.parallel_tool_calls) {
      losses_.add("disable_parallel_tool_use", "Gemini models may call several tools at once");
    }
    const bool named = choice.kind == chat::ToolChoiceKind::kTool;
    const bool forced = named || choice.kind == chat::ToolChoiceKind::kAny;
    const auto is_chosen = [&](std::size_t i) { return request_.tools[i].name == choice.name; };
    const bool offered = !named || std::any_of(sent.begin(), sent.end(), is_chosen);
    std::string_view mode = choice.kind == chat::ToolChoiceKind::kNone ? "NONE" : forced ? "ANY" : "AUTO";
    if (forced && (!target_.forced_tool_choice || !offered)) {
      losses_.add("tool_choice", offered ? "this model takes no forced tool choice" : "the chosen tool could not be sent");
      mode = "AUTO";
    }
    writer_.key("toolConfig").begin_object().key("functionCallingConfig").begin_object().member("mode", mode);
    if (named && mode == "ANY") {
      writer_.key("allowedFunctionNames").begin_array().string(sent_function_name(choice.name)).end_array();
    }
    writer_.end_object().end_object();
  }

  // --- generationConfig

  void write_generation_config() {
    std::string config;
    json::Writer writer(config);
    writer.begin_object();
    if (request_.max_tokens) writer.member("maxOutputTokens", allowed_max_tokens(*request_.max_tokens, target_, losses_));
    write_sampling(writer);
    write_stops(writer);
    write_answer_format(writer);
    if (same_format_) {
      write_own_config(writer);
    } else {
      write_thinking(writer);
    }
    writer.end_object();
    if (config != "{}") writer_.member_raw("generationConfig", config);
  }

  void write_sampling(json::Writer& writer) {
    const bool asked = request_.temperature || request_.top_p || request_.top_k;
    if (asked && !target_.sampling) losses_.add("sampling", "this model takes no temperature, top_p or top_k");
    if (!target_.sampling) return;
    if (request_.temperature) writer.member("temperature", *request_.temperature);
    if (request_.top_p) writer.member("topP", *request_.top_p);
    if (request_.top_k) writer.member("topK", *request_.top_k);
  }

  void write_stops(json::Writer& writer) {
    std::vector<std::string_view> stops;
    for (const std::string& stop : request_.stop_sequences) {
      if (!stop.empty()) stops.emplace_back(stop);
    }
    if (stops.size() > kMostStops) {
      losses_.add("stop_sequences", "Gemini takes five; the others were left out");
      stops.resize(kMostStops);
    }
    if (stops.empty()) return;
    writer.key("stopSequences").begin_array();
    for (const std::string_view stop : stops) writer.string(stop);
    writer.end_array();
  }

  void write_answer_format(json::Writer& writer) {
    if (request_.response_schema_json.empty() && !request_.json_object_mode) return;
    writer.member("responseMimeType", "application/json");
    if (request_.response_schema_json.empty()) return;
    if (!same_format_) note_schema_settings(request_, "Gemini takes the schema alone", losses_);
    if (target_.json_schema) {
      writer.member_raw("responseJsonSchema", google_json_schema(request_.response_schema_json));
    } else {
      writer.member_raw("responseSchema", openapi_schema(request_.response_schema_json));
    }
  }

  void write_own_config(json::Writer& writer) {
    auto document = json::Document::open_view(own_config_);
    if (!document) return;
    auto members = document->root_object();
    while (members && members->next()) {
      const std::string name(members->key());
      if (const auto raw = members->value().raw()) writer.member_raw(name, *raw);
    }
  }

  void write_thinking(json::Writer& writer) {
    const chat::ThinkingMode& thinking = request_.thinking;
    const bool off = thinking.kind == chat::ThinkingKind::kDisabled || request_.effort == "none";
    const bool on = !off && thinking.kind != chat::ThinkingKind::kAbsent;
    if (!off && !on && request_.effort.empty()) return;
    if (generation_ == Generation::kBefore25 || !target_.reasoning_effort) {
      if (!off) losses_.add("thinking", "this model does not think");
      return;
    }
    writer.key("thinkingConfig").begin_object();
    if (on && thinking.display != "omitted") writer.member("includeThoughts", true);
    if (generation_ == Generation::k25) {
      if (off && is_pro()) losses_.add("thinking", "this model cannot be kept from thinking; it was asked for the least");
      writer.member("thinkingBudget", off ? least_budget() : budget());
    } else {
      write_level(writer, off);
    }
    writer.end_object();
  }

  [[nodiscard]] bool is_pro() const { return target_.model.find("pro") != std::string::npos; }
  /// The pro model of this generation always thinks.
  [[nodiscard]] std::int64_t least_budget() const { return is_pro() ? 128 : 0; }

  std::int64_t budget() {
    const std::int64_t most = is_pro() ? 32768 : 24576;
    if (request_.thinking.budget_tokens) {
      const std::int64_t wanted = *request_.thinking.budget_tokens;
      const std::int64_t sent = std::clamp(wanted, std::max<std::int64_t>(least_budget(), 1), most);
      if (sent != wanted) losses_.add("thinking.budget_tokens", "changed to what the model takes");
      return sent;
    }
    for (const auto& [word, tokens] : kBudgets) {
      if (word != request_.effort) continue;
      losses_.add("effort", "sent as a thinking budget");
      return std::min(tokens, most);
    }
    return -1;  // as the model sees fit
  }

  void write_level(json::Writer& writer, bool off) {
    static const std::vector<std::string> kLevels = {"minimal", "low", "medium", "high"};
    static const std::vector<std::string> kProLevels = {"low", "medium", "high"};
    const std::vector<std::string>& accepted = !target_.efforts.empty() ? target_.efforts : is_pro() ? kProLevels : kLevels;
    std::string_view wanted = request_.effort;
    if (off) {
      wanted = "minimal";  // these models always think
      losses_.add("thinking", "this model cannot be kept from thinking; it was asked for the least");
    } else if (wanted.empty() && request_.thinking.budget_tokens) {
      wanted = effort_for_budget(*request_.thinking.budget_tokens, accepted);
      losses_.add("thinking.budget_tokens", "sent as a thinking level");
    }
    if (wanted.empty()) return;
    const std::string_view level = accepted_effort(wanted, accepted);
    if (level.empty()) return;
    if (level != wanted && !off) losses_.add("effort", "changed to the nearest level this model takes");
    writer.member("thinkingLevel", upper(level));
  }

  void note_user() {
    if (!request_.user_id.empty()) losses_.add("metadata.user_id", "not told to other providers");
  }

  void write_members(std::string_view object_json) {
    if (object_json.empty()) return;
    auto document = json::Document::open_view(object_json);
    if (!document) return;
    auto members = document->root_object();
    while (members && members->next()) {
      const std::string name(members->key());
      if (const auto raw = members->value().raw()) writer_.member_raw(name, *raw);
    }
  }

  const chat::Request& request_;
  const Capabilities& target_;
  chat::LossNotes& losses_;
  const bool same_format_;
  const Generation generation_;
  std::string out_;
  json::Writer writer_;
  std::string own_config_;       ///< unmodelled members of a Gemini request's generationConfig
  std::string own_tool_config_;  ///< a Gemini request's toolConfig that says more than a tool choice
  std::vector<std::pair<std::string, std::string>> extra_;
};

}  // namespace

Result<std::string> write_request(const chat::Request& request, const Capabilities& target, chat::LossNotes& losses) {
  return RequestWriter(request, target, losses).write();
}

std::vector<RenamedTool> renamed_tools(const chat::Request& request) {
  std::vector<RenamedTool> renamed;
  for (const chat::Tool& tool : request.tools) {
    if (!is_function_name(tool.name)) renamed.push_back({sent_function_name(tool.name), tool.name});
  }
  return renamed;
}

}  // namespace ccrules::dialect::gemini
