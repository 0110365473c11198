#pragma once
#include <optional>
#include <string>
#include <string_view>

/// Signatures of thinking blocks that Anthropic did not make (G-8). Its clients need every thinking block
/// signed and send blocks and signatures back unchanged, so ours say whose reasoning it was and carry what
/// that provider wants back. Form: "ccr1.<provider>,<model>:<base64 of the payload>".
namespace ccrules::dialect::signature {

struct Origin {
  std::string provider;  ///< provider id; holds no comma
  std::string model;
  std::string payload;  ///< any bytes, for the same provider and model only; often empty
  bool operator==(const Origin&) const = default;
};

/// How a JSON string that holds one begins.
constexpr std::string_view kJsonStart = "\"ccr1.";

std::string encode(const Origin& origin);
/// True for what encode() makes. Anthropic's own signatures never look like this.
[[nodiscard]] bool is_ours(std::string_view signature) noexcept;
/// nullopt when it is not ours or was damaged on the way.
[[nodiscard]] std::optional<Origin> decode(std::string_view signature);

/// RFC 4648, section 4, with padding.
std::string to_base64(std::string_view bytes);
/// nullopt when the text is not in that form.
[[nodiscard]] std::optional<std::string> from_base64(std::string_view text);

}  // namespace ccrules::dialect::signature
