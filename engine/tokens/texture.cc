#include "tokens/texture.h"

#include <algorithm>

#include "core/limits.h"

namespace ccrules::tokens {
namespace {

/// Bytes by what they tell.
struct Shares {
  double ascii = 0, capitals = 0, digits = 0, symbols = 0, indent = 0, blanks = 0;
  double latin = 0, cyrillic = 0, near_east = 0, south_asia = 0, vietnamese = 0, kana = 0, han = 0,
         hangul = 0, emoji = 0;
  double all = 0;
};

void add_other(Shares& shares, unsigned char lead, unsigned char second) {
  if (lead < 0xC2) return;  // a continuation
  if (lead < 0xCD) {
    shares.latin += 2;
  } else if (lead < 0xD5) {
    shares.cyrillic += 2;
  } else if (lead < 0xE0) {
    shares.near_east += 2;
  } else if (lead == 0xE0) {
    shares.south_asia += 3;
  } else if (lead == 0xE1) {
    (second >= 0xB8 ? shares.vietnamese : shares.south_asia) += 3;
  } else if (lead == 0xE3 && second >= 0x81 && second <= 0x83) {
    shares.kana += 3;
  } else if (lead >= 0xE3 && lead <= 0xE9) {
    shares.han += 3;
  } else if (lead >= 0xEA && lead <= 0xED) {
    shares.hangul += 3;
  } else if (lead >= 0xF0) {
    shares.emoji += 4;
  }
}

Shares shares_of(std::string_view text) {
  Shares shares;
  // Long texts are looked at in eight places, each long enough to be typical.
  const std::size_t piece = limits::kTextureBytes / 8;
  const std::size_t stride = text.size() <= limits::kTextureBytes ? piece : text.size() / 8;
  for (std::size_t begin = 0; begin < text.size(); begin += stride) {
    unsigned char before = 0;
    const std::size_t end = std::min(text.size(), begin + piece);
    for (std::size_t i = begin; i < end; ++i) {
      const auto c = static_cast<unsigned char>(text[i]);
      if (c >= 0x80) {
        add_other(shares, c, i + 1 < text.size() ? static_cast<unsigned char>(text[i + 1]) : 0);
      } else {
        ++shares.ascii;
        if (c >= 'A' && c <= 'Z') {
          ++shares.capitals;
        } else if (c >= '0' && c <= '9') {
          ++shares.digits;
        } else if (c == ' ' || c == '\t') {
          ++(before == ' ' || before == '\t' || before == '\n' ? shares.indent : shares.blanks);
        } else if (c > ' ' && !(c >= 'a' && c <= 'z')) {
          ++shares.symbols;
        }
      }
      before = c;
    }
    shares.all += static_cast<double>(end - begin);
  }
  return shares;
}

/// One column of the published table, fitted.
struct Fit {
  double base, capitals, digits, symbols, indent, blanks, bytes_per_token;
  double least, most;  ///< of ASCII text
  double latin, cyrillic, near_east, south_asia, vietnamese, kana, han, hangul, emoji;
};
constexpr Fit kOldFit{1.277, 0.222, -0.327, 0.306, 0.071, -0.161, -0.030, 1.00, 1.40,
                      1.58,  1.53,  2.1,    2.3,   0.8,   1.0,    1.36,   1.8,  1.45};
constexpr Fit kNewFit{0.792, 1.017, 0.080, 0.560, -0.550, 0.178, 0.159, 1.12, 1.92,
                      2.24,  1.53,  2.1,   2.3,   0.8,    1.0,   1.36,  1.8,  1.45};
constexpr Fit kGeminiFit{1.12, 0,    0.6, 0.1, 0.1, -0.4, 0,    1.00, 1.55,
                         1.03, 0.98, 1.0, 1.0, 1.0, 0.6,  0.86, 1.0,  0.61};

double apply(const Fit& fit, const Shares& shares, double bytes_per_token) {
  const double ascii = std::max(1.0, shares.ascii);
  double plain = fit.base +
                 (fit.capitals * shares.capitals + fit.digits * shares.digits + fit.symbols * shares.symbols +
                  fit.indent * shares.indent + fit.blanks * shares.blanks) /
                     ascii +
                 fit.bytes_per_token * std::clamp(bytes_per_token, 1.4, 5.0);
  plain = std::clamp(plain, fit.least, fit.most);
  // A few accents among many letters: the words are of that language, not only the accents.
  const double foreign = std::min(1.0, shares.latin / std::max(1.0, shares.all) / 0.02);
  plain += foreign * (fit.latin - plain);
  double sum = plain * (shares.ascii + shares.latin), weight = shares.ascii + shares.latin;
  const auto add = [&](double bytes, double ratio) {
    sum += bytes * ratio;
    weight += bytes;
  };
  add(shares.cyrillic, fit.cyrillic);
  add(shares.near_east, fit.near_east);
  add(shares.south_asia, fit.south_asia);
  add(shares.vietnamese, fit.vietnamese);
  add(shares.kana, fit.kana);
  add(shares.han, fit.han);
  add(shares.hangul, fit.hangul);
  add(shares.emoji, fit.emoji);
  return weight > 0 ? sum / weight : plain;
}

}  // namespace

double ratio_of(const Family& family, std::string_view text, std::int64_t o200k_tokens) noexcept {
  if (family.exact || family.kind == FamilyKind::kOther || text.empty() || o200k_tokens <= 0) return 1;
  const double bytes_per_token = static_cast<double>(text.size()) / static_cast<double>(o200k_tokens);
  const Fit& fit = family.kind == FamilyKind::kClaudeNew   ? kNewFit
                   : family.kind == FamilyKind::kClaudeOld ? kOldFit
                                                           : kGeminiFit;
  return apply(fit, shares_of(text), bytes_per_token);
}

}  // namespace ccrules::tokens
