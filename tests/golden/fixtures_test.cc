#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include <catch2/catch.hpp>

#include "core/json.h"
#include "core/text.h"
#include "dialect/dialect.h"
#include "support/files.h"
#include "support/json_tree.h"
#include "support/judges.h"
#include "support/stream_cuts.h"
#include "support/validators.h"

/// Recorded traffic of real providers, through every combination of client and provider dialect. The
/// recordings lie beside the checkout (support/files.h); without them these tests say so and pass.
using namespace ccrules;
using namespace ccrules::test;

namespace {

constexpr std::size_t kPrefixBytes = 4096;         ///< cut at every position of this part
constexpr std::size_t kSettleBytes = 512;          ///< read behind it, so that a wrong state shows
constexpr std::size_t kMostReadBytes = 2'000'000;  ///< per stream, for the cuts behind the prefix

struct Recording {
  std::string name;
  const dialect::Dialect* spoken = nullptr;
  std::string request;  ///< empty: not recorded
  std::string response;
  bool streamed = false;
  int status = 200;
  std::string endpoint;
  std::set<std::string> features;

  [[nodiscard]] bool has(const char* feature) const { return features.contains(feature); }
};

const dialect::Dialect* const kDialects[] = {&dialect::anthropic(), &dialect::openai_chat(), &dialect::openai_responses(),
                                              &dialect::ollama_chat(), &dialect::gemini_dialect()};

Recording load(const std::filesystem::path& folder, const dialect::Dialect& spoken) {
  Recording one;
  one.name = folder.filename().string();
  one.spoken = &spoken;
  const auto meta = parse_tree(read_file((folder / "meta.json").string()));
  REQUIRE(meta);
  one.status = static_cast<int>(meta->integer("status").value_or(200));
  one.endpoint = meta->string("endpoint");
  for (const Tree& feature : meta->get("features")->items) one.features.insert(feature.text);
  const std::string response = meta->string("response");
  one.streamed = response == "response.sse" || response == "response.ndjson";
  one.response = read_file((folder / response).string());
  if (std::filesystem::exists(folder / "request.json"))
    one.request = read_file((folder / "request.json").string());
  // Bedrock, Vertex and Azure name the model in the path; here it is put back where the dialect has it.
  const auto request = parse_tree(one.request);
  if (request && spoken.name() != "gemini" && !request->has("model")) {
    one.request.insert(one.request.find('{') + 1, request->members.empty() ? R"("model":"path-model")" : R"("model":"path-model",)");
  }
  return one;
}

/// All recordings of the dialects we speak, read once.
const std::vector<Recording>& recordings() {
  static const std::vector<Recording> all = [] {
    std::vector<Recording> found;
    const auto root = fixtures_dir();
    if (!root) return found;
    const std::pair<const char*, const dialect::Dialect*> families[] = {
        {"anthropic_messages", &dialect::anthropic()},
        {"openai_chat", &dialect::openai_chat()},
        {"openai_responses", &dialect::openai_responses()},
        {"ollama", &dialect::ollama_chat()},
        {"gemini", &dialect::gemini_dialect()}};
    for (const auto& [family, spoken] : families) {
      for (const auto& provider : std::filesystem::directory_iterator(*root + "/" + family)) {
        for (const auto& folder : std::filesystem::directory_iterator(provider))
          found.push_back(load(folder.path(), *spoken));
      }
    }
    std::sort(found.begin(), found.end(),
              [](const Recording& a, const Recording& b) { return a.name < b.name; });
    return found;
  }();
  return all;
}

/// Counting takes the same conversation as answering; its answer is a number.
bool counts(const Recording& one) {
  return one.endpoint.find("count_tokens") != std::string::npos || one.endpoint.find(":countTokens") != std::string::npos;
}

/// Ollama's completions: another endpoint, which no client dialect offers.
bool completes(const Recording& one) { return one.endpoint.find("/api/generate") != std::string::npos; }

/// Gemini's stream without `alt=sse`, which is never asked for.
bool is_array_of_chunks(const Recording& one) {
  return !one.streamed && one.endpoint.find(":streamGenerateContent") != std::string::npos;
}

bool asks(const Recording& one) { return !one.request.empty() && !completes(one); }
bool streams(const Recording& one) { return one.streamed && one.status == 200 && !completes(one); }
bool replies(const Recording& one) {
  return !one.streamed && one.status == 200 && !counts(one) && !completes(one) && !is_array_of_chunks(one);
}
bool fails(const Recording& one) { return one.status >= 400; }

void append(std::string& out, const chat::Block& block) {
  if (const auto* call = std::get_if<chat::ToolCall>(&block.value))
    out += call->id + ' ' + call->name + call->arguments_json;
  if (const auto* thinking = std::get_if<chat::Thinking>(&block.value))
    out += thinking->text + thinking->signature;
  if (const auto* text = std::get_if<chat::Text>(&block.value)) out.append(text->text.view()).append(text->extra_json);
  if (const auto* opaque = std::get_if<chat::Opaque>(&block.value)) out += opaque->json;
}

/// The events as one text, cheaper than to_text(): millions of them are compared.
void flatten(const std::vector<chat::Event>& events, std::string& out) {
  out.clear();
  for (const chat::Event& event : events) {
    out += static_cast<char>('A' + event.index());
    if (const auto* delta = std::get_if<chat::BlockDelta>(&event)) {
      out += static_cast<char>('0' + static_cast<int>(delta->kind));
      out += delta->text;
    } else if (const auto* start = std::get_if<chat::BlockStart>(&event)) {
      append(out, start->block);
    } else if (const auto* end = std::get_if<chat::MessageEnd>(&event)) {
      out += name_of(end->reason);
      out += to_text(end->usage);
    } else if (const auto* error = std::get_if<chat::StreamError>(&event)) {
      out += error->message;
    }
  }
}

/// Feeds `bytes` in two pieces; `whole`: the stream ends there.
void read_cut(const Recording& one, std::string_view bytes, std::size_t cut, bool whole,
              std::vector<chat::Event>& events) {
  events.clear();
  const auto reader = one.spoken->stream_reader(reading_from("recorded"));
  auto fed = reader->feed(bytes.substr(0, cut), events);
  if (fed && cut < bytes.size()) fed = reader->feed(bytes.substr(cut), events);
  if (fed && whole) fed = reader->finish(events);
  if (!fed) FAIL("cut at " << cut << ": " << fed.error().message);
}

std::size_t prime_step(std::size_t size) {
  const std::size_t most_runs = std::max<std::size_t>(1, kMostReadBytes / std::max<std::size_t>(1, size));
  const std::size_t least = std::max<std::size_t>(1, size / most_runs);
  for (const std::size_t prime :
       {1u, 2u, 3u, 5u, 7u, 11u, 13u, 17u, 31u, 61u, 127u, 251u, 509u, 1021u, 2039u, 4093u, 8191u, 16381u}) {
    if (prime >= least) return prime;
  }
  return 65521;
}

void cut_everywhere(const Recording& one) {
  std::vector<chat::Event> events;
  std::string expected;
  std::string got;
  const std::string_view bytes = one.response;
  const auto compare = [&](std::string_view part, std::size_t cut, bool whole) {
    read_cut(one, part, cut, whole, events);
    flatten(events, got);
    if (got != expected)
      FAIL("cut at " << cut << " changes the events\n"
                     << got.substr(0, 2000) << "\nexpected\n"
                     << expected.substr(0, 2000));
  };
  const std::string_view prefix = bytes.substr(0, kPrefixBytes + kSettleBytes);
  read_cut(one, prefix, prefix.size(), false, events);
  flatten(events, expected);
  for (std::size_t cut = 1; cut < std::min(prefix.size(), kPrefixBytes); ++cut) compare(prefix, cut, false);

  read_cut(one, bytes, bytes.size(), true, events);
  flatten(events, expected);
  const std::size_t step = prime_step(bytes.size());
  for (std::size_t cut = 1; cut < bytes.size(); cut += step) compare(bytes, cut, true);
}

/// True when the provider itself reported a failure inside the stream.
bool tells_of_failure(const Recording& one) {
  for (const SseEvent& event : judge_of(one.spoken->name()).split(one.response)) {
    const auto tree = parse_tree(event.data);
    if (tree && (tree->has("error") || tree->string("type") == "error")) return true;
  }
  return false;
}

/// Takes out what says the same as its absence (false flags, empty lists, empty descriptions, nulls), the old
/// name of the answer's format, and writes a list of one plain text as that text.
void spell_out(Tree& value) {
  std::erase_if(value.members, [](const auto& member) {
    const auto& [name, inner] = member;
    const bool idle_flag =
        (name == "stream" || name == "is_error") && inner.is(Tree::Kind::kBool) && !inner.boolean;
    const bool empty =
        (name == "tools" && inner.items.empty()) || (name == "description" && inner.text.empty());
    return idle_flag || empty || inner.is(Tree::Kind::kNull) || name == "output_format" ||
           name == "output_config";
  });
  for (auto& [name, inner] : value.members) {
    spell_out(inner);
    if (name != "content" || inner.items.size() != 1) continue;
    const Tree part = inner.items[0];
    if (part.string("type") == "text" && part.members.size() == 2) inner = *part.get("text");
  }
  for (Tree& item : value.items) spell_out(item);
}

Tree text_tree(std::string text) {
  Tree tree;
  tree.kind = Tree::Kind::kString;
  tree.text = std::move(text);
  return tree;
}

/// A Chat message's content as one text, pictures and files counted: writers may join parts and write null or
/// nothing.
Tree flat_content(const Tree* content) {
  if (content == nullptr || content->is(Tree::Kind::kNull)) return text_tree("");
  if (content->is(Tree::Kind::kString)) return text_tree(std::string(text::trim(content->text)));
  std::string text;
  for (const Tree& part : content->items) {
    if (!text.empty()) text += "\n\n";
    text += part.string("type") == "text" ? part.string("text") : "[" + part.string("type") + "]";
  }
  return text_tree(text);
}

/// What a Chat request means, without spellings and vendor extras that writing from the neutral form does not
/// keep. Requests that stay in their dialect normally go out as the bytes they came in (core/splice.h); this
/// is for the rest.
void reduce_chat(Tree& request) {
  const auto erase = [](Tree& object, std::initializer_list<std::string_view> names) {
    std::erase_if(object.members, [&](const auto& member) {
      return std::find(names.begin(), names.end(), member.first) != names.end();
    });
  };
  erase(request,
        {"stream_options", "stream", "n", "tools", "response_format", "reasoning", "reasoning_effort"});
  for (auto& [name, value] : request.members) {
    if (name != "messages") continue;
    std::erase_if(value.items,
                  [](const Tree& message) { return message.string("role") == "system"; });  // they are merged
    for (Tree& message : value.items) {
      Tree content = flat_content(message.get("content"));
      erase(message,
            {"content", "name", "cache_control", "reasoning", "reasoning_content", "reasoning_details",
             "refusal", "tool_call_id", "annotations", "audio", "function_call"});
      message.members.emplace_back("content", std::move(content));
      for (auto& [key, calls] : message.members) {
        if (key != "tool_calls") continue;
        for (Tree& call : calls.items) {
          erase(call, {"id", "index", "extra_content"});
          Tree* function = const_cast<Tree*>(call.get("function"));
          for (auto& [member, text] : function->members) {
            if (auto arguments = parse_tree(text.text); member == "arguments" && arguments) text = *arguments;
          }
        }
      }
    }
  }
}

/// What an Ollama request means, without empty options and lists, ids, and a call's type, of which there is one.
void reduce_ollama(Tree& request) {
  std::erase_if(request.members, [](const auto& member) {
    return (member.first == "options" && member.second.members.empty()) || (member.first == "format" && member.second.text.empty() && member.second.members.empty());
  });
  for (auto& [name, value] : request.members) {
    if (name != "messages") continue;
    for (Tree& message : value.items) {
      std::erase_if(message.members, [](const auto& member) {
        // The writer says which call a result belongs to, also where a client left it to the order.
        return member.first == "tool_name" || member.first == "tool_call_id" ||
               (member.first == "tool_calls" && member.second.items.empty());
      });
      for (auto& [key, calls] : message.members) {
        if (key != "tool_calls") continue;
        for (Tree& call : calls.items) {
          std::erase_if(call.members, [](const auto& member) { return member.first == "type" || member.first == "id"; });
          for (auto& [part, function] : call.members)
            std::erase_if(function.members, [](const auto& member) { return member.first == "index"; });
        }
      }
    }
  }
}

/// A Gemini request without spellings that writing from the neutral form does not keep: names in snake case, single items
/// without brackets, roles that are understood, ids of calls, schemas in one of two forms, media resolutions.
void reduce_gemini(Tree& value) {
  for (auto& [name, inner] : value.members) {
    std::string camel;
    for (std::size_t i = 0; i < name.size(); ++i) {
      if (name[i] == '_' && i + 1 < name.size()) {
        camel += static_cast<char>(std::toupper(static_cast<unsigned char>(name[++i])));
      } else {
        camel += name[i];
      }
    }
    name = camel;
    if ((name == "parts" || name == "contents") && inner.is(Tree::Kind::kObject)) {
      Tree list;
      list.kind = Tree::Kind::kArray;
      list.items.push_back(inner);
      inner = list;
    }
    if (name != "args" && name != "response") reduce_gemini(inner);
    if (name == "systemInstruction") std::erase_if(inner.members, [](const auto& one) { return one.first == "role"; });
    if (name == "functionCall" || name == "functionResponse") {
      std::erase_if(inner.members, [](const auto& one) { return one.first == "id" || one.first == "parts"; });
    }
  }
  // Of a turn whose first call was recorded unsigned.
  std::erase_if(value.members, [](const auto& one) {
    return one.first == "thoughtSignature" && one.second.text == "skip_thought_signature_validator";
  });
  for (Tree& item : value.items) reduce_gemini(item);
  std::erase_if(value.items, [](const Tree& part) {
    return part.members.size() == 1 && part.has("text") && text::trim(part.string("text")).empty();
  });
  for (auto& [name, tools] : value.members) {
    if (name != "tools" || tools.items.empty()) continue;
    Tree all;  // functions and Google's own tools may share an object
    all.kind = Tree::Kind::kObject;
    for (const Tree& tool : tools.items) all.members.insert(all.members.end(), tool.members.begin(), tool.members.end());
    tools.items = {all};
  }
  // Google takes neighbours of one role; we send one.
  for (auto& [name, contents] : value.members) {
    if (name != "contents") continue;
    std::vector<Tree> merged;
    for (Tree& turn : contents.items) {
      const std::string role = turn.string("role") == "model" ? "model" : "user";
      std::erase_if(turn.members, [](const auto& one) { return one.first == "role"; });
      turn.members.emplace_back("role", text_tree(role));
      Tree* parts = merged.empty() || merged.back().string("role") != role ? nullptr : const_cast<Tree*>(merged.back().get("parts"));
      const Tree* more = turn.get("parts");
      if (parts != nullptr && more != nullptr) {
        parts->items.insert(parts->items.end(), more->items.begin(), more->items.end());
      } else if (more != nullptr && !more->items.empty()) {
        merged.push_back(turn);
      }
    }
    contents.items = merged;
  }
  std::erase_if(value.members, [](const auto& one) {
    if (one.first == "thought" && !one.second.boolean) return true;
    const bool empty_system = one.first == "systemInstruction" && (one.second.get("parts") == nullptr || one.second.get("parts")->items.empty());
    const bool idle = (one.first == "generationConfig" || one.first == "toolConfig") && one.second.members.empty();
    return one.first == "parameters" || one.first == "parametersJsonSchema" || one.first == "responseSchema" ||
           one.first == "responseJsonSchema" || one.first == "videoMetadata" || one.first == "mediaResolution" ||
           one.first == "displayName" || one.first == "model" || one.first == "candidateCount" || one.first == "toolConfig" || empty_system || idle;
  });
}

/// How many items of each kind a Responses request holds that mean something to any provider. What they hold is compared by
/// writing them twice: their spellings differ more than those of any other dialect.
std::map<std::string, int> responses_items(const Tree& request) {
  std::map<std::string, int> counts;
  const Tree* input = request.get("input");
  if (input == nullptr) return counts;
  for (const Tree& item : input->items) {
    const std::string type = item.string("type");
    const bool empty = type == "reasoning" && item.string("encrypted_content").empty();
    if (type == "function_call" || type == "function_call_output" || (type == "reasoning" && !empty)) ++counts[type];
  }
  return counts;
}

/// How many blocks of each kind a conversation holds, by their place in chat::Block.
std::map<std::size_t, int> kinds_of(const chat::Request& request) {
  std::map<std::size_t, int> counts;
  for (const chat::Message& message : request.messages) {
    for (const chat::Block& block : message.blocks) ++counts[block.value.index()];
  }
  return counts;
}

/// One recording holds a system prompt and an empty text alone: Google answers it, others have nothing to answer.
bool says_something(const chat::Request& request) {
  for (const chat::Message& message : request.messages) {
    if (!message.blocks.empty()) return true;
  }
  return false;
}

std::string own_faults(const std::vector<std::string>& faults) {
  std::string out;
  for (const std::string& fault : faults) out += fault + "\n";
  return out;
}

}  // namespace

TEST_CASE("every recording takes part: its request, if there is one, and its answer") {
  std::map<std::string, int> left_out;
  int requests = 0;
  for (const Recording& one : recordings()) {
    requests += asks(one) ? 1 : 0;
    const int answers = (streams(one) ? 1 : 0) + (replies(one) ? 1 : 0) + (fails(one) ? 1 : 0);
    CHECK(answers <= 1);
    if (answers == 1 && (asks(one) || one.request.empty())) continue;
    const char* why = counts(one) ? "its answer is a count" : completes(one) ? "Ollama's completions" : is_array_of_chunks(one) ? "an array" : nullptr;
    INFO(one.spoken->name() << " " << one.name << " at " << one.endpoint << " with status " << one.status);
    CHECK(why != nullptr);
    if (why != nullptr) ++left_out[why];
  }
  if (recordings().empty()) return;
  CHECK(requests > 300);
  CHECK(left_out == std::map<std::string, int>{{"Ollama's completions", 2}, {"an array", 1}, {"its answer is a count", 6}});
}

TEST_CASE("a recorded request comes back from its own dialect with the same meaning") {
  for (const Recording& one : recordings()) {
    if (!asks(one)) continue;
    INFO(one.spoken->name() << " " << one.name);
    std::string body = one.request;
    const auto request = one.spoken->read_request(json::padded(body));
    if (!request) {
      FAIL_CHECK("refused: " << request.error().message);
      continue;
    }
    dialect::Capabilities target;
    target.model = request->model;
    target.developer_role = one.request.find("\"developer\"") != std::string::npos;
    target.max_completion_tokens = one.request.find("max_completion_tokens") != std::string::npos;
    target.prefill = true;
    target.tool_message_images = true;
    if (one.request.find("\"reasoning_details\"") != std::string::npos)
      target.reasoning_replay = "reasoning_details";
    if (one.request.find("\"reasoning_content\"") != std::string::npos)
      target.reasoning_replay = "reasoning_content";
    chat::LossNotes losses;
    const auto written = one.spoken->write_request(*request, target, losses);
    if (!written) {
      FAIL_CHECK("not written: " << written.error().message);
      continue;
    }
    auto before = parse_tree(one.request);
    auto after = parse_tree(*written);
    REQUIRE((before && after));
    if (counts(one)) std::erase_if(after->members, [](const auto& member) { return member.first == "max_tokens"; });
    spell_out(*before);
    spell_out(*after);
    if (one.spoken->name() == "openai_responses") {
      std::string once = *written;
      const auto again = one.spoken->read_request(json::padded(once));
      REQUIRE(again.ok());
      const auto twice = one.spoken->write_request(*again, target, losses);
      REQUIRE(twice.ok());
      CHECK(difference(*parse_tree(*written), *parse_tree(*twice)) == "");
      CHECK(responses_items(*before) == responses_items(*after));
      CHECK(own_faults(judge_of(one.spoken->name()).request(*written)) == "");
      continue;
    }
    if (one.spoken->name() == "openai_chat") {
      if (one.has("content_parts_thinking") || one.has("legacy_function_call")) {  // spellings of one vendor, and of 2023
        CHECK(kinds_of(*request) == kinds_of(*one.spoken->read_request(*written)));
        continue;
      }
      reduce_chat(*before);
      reduce_chat(*after);
    } else if (one.spoken->name() == "ollama") {
      reduce_ollama(*before);
      reduce_ollama(*after);
    } else if (one.spoken->name() == "gemini") {
      if (const Tree* counted = before->get("generateContentRequest")) before = Tree(*counted);
      reduce_gemini(*before);
      reduce_gemini(*after);
    }
    CHECK(difference(*before, *after) == "");
    if (one.spoken->name() == "anthropic") CHECK(losses.header_value() == "");
  }
}

TEST_CASE("a recorded request is written in every other dialect as a strict provider takes it") {
  for (const Recording& one : recordings()) {
    if (!asks(one)) continue;
    INFO(one.spoken->name() << " " << one.name);
    std::string body = one.request;
    const auto request = one.spoken->read_request(json::padded(body));
    if (!request) continue;  // the test above says so
    if (!says_something(*request)) continue;
    dialect::Capabilities target;
    target.model = "target-model";
    target.prefill = true;
    for (const dialect::Dialect* to : kDialects) {
      if (to == one.spoken) continue;
      INFO("as " << to->name());
      chat::LossNotes losses;
      const auto written = to->write_request(*request, target, losses);
      if (!written) {
        FAIL_CHECK("not written: " << written.error().message);
        continue;
      }
      INFO(*written);
      CHECK(own_faults(judge_of(to->name()).request(*written)) == "");
    }
  }
}

TEST_CASE("a recorded stream goes out in every dialect as a strict client takes it, with the same answer") {
  for (const Recording& one : recordings()) {
    if (!streams(one)) continue;
    INFO(one.spoken->name() << " " << one.name);
    std::vector<chat::Event> events;
    read_cut(one, one.response, one.response.size(), true, events);
    CHECK(order_fault(events) == "");
    const Seen a = judge_of(one.spoken->name()).stream(write_stream(*one.spoken, events, writing_as_asked()), true, false);
    CHECK(a.ending == (tells_of_failure(one) ? Ending::kError : Ending::kClean));
    for (const dialect::Dialect* to : kDialects) {
      const std::string written = write_stream(*to, events, writing_as_asked());
      const Seen b = judge_of(to->name()).stream(written, true, false);
      INFO("as " << to->name() << ":\n" << written);
      CHECK(b.report() == "");
      CHECK(a.ending == b.ending);
      if (b.ending == Ending::kError && to == &dialect::openai_responses()) continue;  // its judge looks at finished items
      CHECK(a.text() == b.text());
      CHECK(a.thinking() == b.thinking());
      CHECK(a.tools().size() == b.tools().size());
      if (a.ending == Ending::kClean) CHECK(a.output_tokens.value_or(0) == b.output_tokens.value_or(0));
    }
  }
}

TEST_CASE("a recorded stream cut at any byte gives the same events") {
  for (const Recording& one : recordings()) {
    if (!streams(one)) continue;
    INFO(one.spoken->name() << " " << one.name);
    cut_everywhere(one);
  }
}

TEST_CASE("a recorded stream that stops anywhere before its end is never a clean answer") {
  for (const Recording& one : recordings()) {
    if (!streams(one)) continue;
    INFO(one.spoken->name() << " " << one.name);
    // Until the stop reason is known, whatever arrived is a fragment.
    const std::string_view mark = one.spoken->name() == "anthropic" ? "message_delta"
                                  : one.spoken->name() == "ollama"  ? "\"done\":true"
                                  : one.spoken->name() == "gemini"  ? "\"finishReason\""
                                  : one.spoken->name() == "openai_responses" ? "response.completed"
                                                                    : "\"finish_reason\":\"";
    std::size_t end = one.response.find(mark);
    if (end == std::string::npos) end = one.response.find("\"finish_reason\": \"");
    if (end == std::string::npos) continue;
    end = one.response.rfind(one.spoken->name() == "ollama" ? "\n" : "\ndata:", end);
    if (end == std::string::npos) continue;
    const std::size_t step = std::max<std::size_t>(1, end / 40);
    for (std::size_t at = 0; at < end; at += step) {
      std::vector<chat::Event> events;
      const auto reader = one.spoken->stream_reader(reading_from("recorded"));
      auto fed = reader->feed(std::string_view(one.response).substr(0, at), events);
      if (fed) fed = reader->finish(events);
      if (!fed) continue;  // the relay makes an error of it
      INFO("stops at " << at << "\n" << to_text(events));
      REQUIRE_FALSE(events.empty());
      // A Chat stream that ends behind a whole call is taken as ended: some servers send neither
      // finish_reason nor [DONE].
      const auto* ended = std::get_if<chat::MessageEnd>(&events.back());
      const bool whole_call =
          ended != nullptr && ended->reason == chat::StopReason::kToolUse && one.spoken->name() == "openai_chat";
      CHECK((whole_call || std::holds_alternative<chat::StreamError>(events.back())));
    }
  }
}

TEST_CASE("a recorded whole reply goes out in every dialect with the same answer") {
  for (const Recording& one : recordings()) {
    if (!replies(one)) continue;
    INFO(one.spoken->name() << " " << one.name);
    const auto reply = one.spoken->read_reply(one.response, reading_from("recorded"));
    if (one.response.find("\"UNEXPECTED_TOOL_CALL\"") != std::string::npos) {
      CHECK_FALSE(reply.ok());  // the model broke off: the client shall ask again
      continue;
    }
    if (!reply) {
      FAIL_CHECK("refused: " << reply.error().message);
      continue;
    }
    chat::LossNotes losses;
    const Judge& own = judge_of(one.spoken->name());
    const Seen a = own.reply(one.spoken->write_reply(*reply, writing_as_asked(), losses));
    for (const dialect::Dialect* to : kDialects) {
      const std::string written = to->write_reply(*reply, writing_as_asked(), losses);
      const Seen b = judge_of(to->name()).reply(written);
      INFO("as " << to->name() << ":\n" << written);
      CHECK(b.report() == "");
      CHECK(a.text() == b.text());
      CHECK(a.thinking() == b.thinking());
      CHECK(a.tools().size() == b.tools().size());
      // Only Anthropic's clients have the list that tells a summary before the answer apart from it.
      const chat::Usage told = to->name() == "anthropic" ? reply->usage : reply->usage.with_compaction();
      CHECK(b.output_tokens.value_or(0) == told.output_tokens.value_or(0));
    }
    // The judge knows the official formats only: neither Mistral's content parts nor the legacy
    // function_call.
    const Seen original = own.reply(one.response);
    if (!one.has("content_parts_thinking") && !one.has("refusal")) CHECK(original.text() == a.text());
    if (!one.has("legacy_function_call")) CHECK(original.tools().size() == a.tools().size());

    const chat::Reply peeked = one.spoken->peek_reply(one.response);
    CHECK(to_text(peeked.usage) == to_text(reply->usage));
  }
}

TEST_CASE("a recorded error goes out in every dialect with the provider's words") {
  for (const Recording& one : recordings()) {
    if (!fails(one)) continue;
    INFO(one.spoken->name() << " " << one.name << "\n" << one.response);
    dialect::UpstreamFailure failure;
    failure.status = one.status;
    failure.body = one.response;
    failure.provider = "recorded";
    failure.model = "m";
    const Error error = one.spoken->read_error(failure);
    CHECK_FALSE(error.message.empty());
    for (const dialect::Dialect* to : kDialects) {
      const Seen seen = judge_of(to->name()).error(to->write_error(error, "req_1"));
      CHECK(seen.report() == "");
      CHECK(to->error_status(error) >= 400);
    }
  }
}
