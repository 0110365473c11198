#include "tokens/family.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "core/text.h"

namespace ccrules::tokens {
namespace {

constexpr Family kClaudeNew{FamilyKind::kClaudeNew,
                            "claude-4.7",
                            Encoding::kO200k,
                            false,
                            270,
                            4,
                            10,
                            350,
                            ImageRule::kClaude,
                            2576,
                            4784,
                            2500,
                            3};
constexpr Family kClaudeOld{FamilyKind::kClaudeOld,
                            "claude-3",
                            Encoding::kO200k,
                            false,
                            340,
                            4,
                            10,
                            500,
                            ImageRule::kClaude,
                            1568,
                            1568,
                            1500,
                            3};
constexpr Family kO200k{FamilyKind::kO200k,
                        "o200k_base",
                        Encoding::kO200k,
                        true,
                        400,
                        4,
                        8,
                        0,
                        ImageRule::kPatch,
                        0,
                        10000,
                        1200,
                        3};
constexpr Family kO200kTiles{
    FamilyKind::kO200k, "o200k_base", Encoding::kO200k, true, 400, 4, 8, 0, ImageRule::kTile, 0, 0, 1105, 3};
constexpr Family kCl100k{FamilyKind::kCl100k,
                         "cl100k_base",
                         Encoding::kCl100k,
                         true,
                         400,
                         4,
                         8,
                         0,
                         ImageRule::kTile,
                         0,
                         0,
                         1105,
                         3};
constexpr Family kGemini{
    FamilyKind::kGemini, "gemini", Encoding::kO200k, false, 360, 4, 8, 0, ImageRule::kFlat, 0, 0, 1100, 0};
constexpr Family kOther{
    FamilyKind::kOther, "other", Encoding::kO200k, false, 400, 4, 8, 0, ImageRule::kPatch, 0, 2500, 1200, 3};

bool digit_at(std::string_view text, std::size_t at) {
  return at < text.size() && text[at] >= '0' && text[at] <= '9';
}

struct Version {
  int major = 0, minor = -1;  ///< minor -1: none
};

/// Where the name has this part (in lower case), whatever its case and with "4.8" for "4-8"; npos: nowhere.
std::size_t find_part(std::string_view name, std::string_view part) {
  const auto same = [](char a, char b) {
    const char lower = a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a;
    return lower == b || (a == '.' && b == '-');
  };
  const auto* const found = std::search(name.begin(), name.end(), part.begin(), part.end(), same);
  return found == name.end() ? std::string_view::npos : static_cast<std::size_t>(found - name.begin());
}

/// Of a Claude model: the first part that is one digit is the generation, one or two digits behind it are the minor version; a
/// longer number is a date. claude-3-7-sonnet, claude-opus-4-6, claude-haiku-4-5-20251001, claude-opus-4.8.
Version version_of(std::string_view model) {
  const std::size_t begin = find_part(model, "claude");
  if (begin != std::string_view::npos) model.remove_prefix(begin);
  for (std::size_t at = model.find('-'); at != std::string_view::npos; at = model.find('-', at + 1)) {
    if (!digit_at(model, at + 1) || digit_at(model, at + 2)) continue;
    Version version{model[at + 1] - '0', -1};
    if (!digit_at(model, at + 3) || (digit_at(model, at + 4) && digit_at(model, at + 5))) return version;
    version.minor = model[at + 3] - '0';
    if (digit_at(model, at + 4)) version.minor = version.minor * 10 + (model[at + 4] - '0');
    return version;
  }
  return {};
}

bool is_old_claude(std::string_view model) {
  const Version version = version_of(model);
  if (version.major == 0) return false;
  return version.major < 4 || (version.major == 4 && version.minor < 7);
}

bool is_claude(const Family& family) {
  return family.kind == FamilyKind::kClaudeNew || family.kind == FamilyKind::kClaudeOld;
}

const Family& openai_family(std::string_view name) {
  if (name.starts_with("gpt-3.5") || name == "gpt-4" || name.starts_with("gpt-4-") ||
      name.starts_with("text-embedding-"))
    return kCl100k;
  if (name.starts_with("gpt-4o-mini") || name.starts_with("gpt-4o") || name.starts_with("chatgpt-4o") ||
      name == "gpt-4.1" || name.starts_with("gpt-4.1-2") || name.starts_with("gpt-4.5") ||
      name.starts_with("o1") || name == "o3" || name.starts_with("o3-2") || name.starts_with("o3-pro"))
    return kO200kTiles;
  return kO200k;
}

bool is_openai(std::string_view name) {
  if (name.starts_with("gpt-") || name.starts_with("chatgpt-") || name.starts_with("codex-") ||
      name.starts_with("text-embedding-"))
    return true;
  return name.size() >= 2 && name[0] == 'o' && digit_at(name, 1) && !digit_at(name, 2);  // o1, o3, o4-mini
}

}  // namespace

std::string_view bare_model(std::string_view model) noexcept {
  if (model.empty()) return model;
  // find_last_of() would ask memchr about every letter.
  for (const char separator : {'/', ','}) {
    const void* last = memrchr(model.data(), separator, model.size());
    if (last != nullptr) model.remove_prefix(static_cast<std::size_t>(static_cast<const char*>(last) - model.data()) + 1);
  }
  return model;
}

const Family& family_of(std::string_view model) noexcept {
  const std::string_view name = bare_model(model);
  if (name.empty() || text::contains_ignore_case(name, "claude")) return is_old_claude(name) ? kClaudeOld : kClaudeNew;
  if (text::contains_ignore_case(name, "gemini") || text::contains_ignore_case(name, "gemma")) return kGemini;
  return is_openai(name) ? openai_family(name) : kOther;
}

std::int64_t tool_prompt_tokens(std::string_view model, const Family& family, bool any) noexcept {
  struct Row {
    std::string_view part;
    std::int64_t automatic, any;
  };
  // Anthropic's tool-use overview, copies of 2026; what is not listed takes its family's usual figure.
  static constexpr std::array<Row, 14> kRows{{{"opus-4-8", 290, 410},
                                              {"opus-4-7", 675, 804},
                                              {"opus-4-6", 497, 589},
                                              {"opus-4-5", 496, 588},
                                              {"opus-4-1", 313, 315},
                                              {"opus-4-2", 313, 315},  // claude-opus-4-20250514
                                              {"sonnet-5", 354, 474},
                                              {"sonnet-4-6", 497, 589},
                                              {"sonnet-4-5", 496, 588},
                                              {"sonnet-4-0", 313, 315},
                                              {"sonnet-4-2", 313, 315},  // claude-sonnet-4-20250514
                                              {"haiku-4-5", 496, 588},
                                              {"3-5-haiku", 264, 355},
                                              {"haiku-3-5", 264, 355}}};
  const std::string_view name = bare_model(model);
  for (const Row& row : kRows) {
    if (find_part(name, row.part) != std::string_view::npos) return any ? row.any : row.automatic;
  }
  return family.tool_prompt_tokens;
}

std::int64_t server_tool_tokens(std::string_view type) noexcept {
  struct Row {
    std::string_view beginning;
    std::int64_t tokens;
  };
  // Of recorded answers, 2025-2026: what is left of the first iteration's prompt once everything else is counted.
  static constexpr std::array<Row, 4> kRows{
      {{"web_search_", 1700}, {"web_fetch_", 760}, {"code_execution_", 1700}, {"advisor_", 730}}};
  for (const Row& row : kRows) {
    if (type.starts_with(row.beginning)) return row.tokens;
  }
  return 0;
}

bool keeps_thinking(const Family& family, std::string_view model) noexcept {
  if (!is_claude(family)) return false;
  const std::string_view name = bare_model(model);
  const Version version = version_of(name);
  if (text::contains_ignore_case(name, "haiku")) return version.major > 4;
  if (version.major != 4) return version.major == 0 || version.major > 4;
  return version.minor >= (text::contains_ignore_case(name, "opus") ? 5 : 6);
}

}  // namespace ccrules::tokens
