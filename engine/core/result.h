#pragma once
#include <memory>
#include <optional>
#include <utility>
#include <variant>

#include "core/error.h"

namespace ccrules {

namespace detail {

/// An Error on the heap: failures are rare, and a Result lies in every coroutine frame, where 170 bytes each
/// would add up to kilobytes per open stream.
class BoxedError {
 public:
  explicit BoxedError(Error error) : error_(std::make_unique<Error>(std::move(error))) {}
  BoxedError(BoxedError&&) noexcept = default;
  BoxedError& operator=(BoxedError&&) noexcept = default;
  BoxedError(const BoxedError& other) : error_(std::make_unique<Error>(*other.error_)) {}
  BoxedError& operator=(const BoxedError& other) {
    error_ = std::make_unique<Error>(*other.error_);
    return *this;
  }
  ~BoxedError() = default;
  [[nodiscard]] Error& operator*() const noexcept { return *error_; }

 private:
  std::unique_ptr<Error> error_;
};

}  // namespace detail

/// Value or Error: the subset of std::expected (C++23) that we need. May not be ignored.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}  // NOLINT: implicit by design
  Result(Error error)
      : state_(std::in_place_index<1>, detail::BoxedError(std::move(error))) {}  // NOLINT: implicit by design
  [[nodiscard]] bool ok() const noexcept { return state_.index() == 0; }
  explicit operator bool() const noexcept { return ok(); }
  T& operator*() & { return std::get<0>(state_); }
  const T& operator*() const& { return std::get<0>(state_); }
  T&& operator*() && { return std::get<0>(std::move(state_)); }
  T* operator->() { return &std::get<0>(state_); }
  const T* operator->() const { return &std::get<0>(state_); }
  Error& error() & { return *std::get<1>(state_); }
  const Error& error() const& { return *std::get<1>(state_); }
  Error&& error() && { return std::move(*std::get<1>(state_)); }

 private:
  std::variant<T, detail::BoxedError> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::in_place, std::move(error)) {}  // NOLINT: implicit by design
  [[nodiscard]] bool ok() const noexcept { return !error_.has_value(); }
  explicit operator bool() const noexcept { return ok(); }
  Error& error() & { return **error_; }
  const Error& error() const& { return **error_; }
  Error&& error() && { return std::move(**error_); }

 private:
  std::optional<detail::BoxedError> error_;
};

}  // namespace ccrules

// CCR_TRY(name, expr): declares `name` from a Result, or leaves the function with its error.
// CCR_CO_TRY: the same in a coroutine. CCR_CHECK / CCR_CO_CHECK: for a Result<void> or when the value is not
// needed. Declarations and plain statements, not statement expressions: g++ 12 cannot compile `co_await`
// inside `({ })`.
#define CCR_CONCAT_(a, b) a##b
#define CCR_CONCAT(a, b) CCR_CONCAT_(a, b)
#define CCR_TRY_IMPL_(tmp, name, expr, leave)  \
  auto tmp = expr;                             \
  if (!tmp.ok()) leave std::move(tmp).error(); \
  auto name = *std::move(tmp)
#define CCR_CHECK_IMPL_(tmp, expr, leave) \
  if (auto tmp = expr; !tmp.ok()) leave std::move(tmp).error()
#define CCR_TRY(name, expr) CCR_TRY_IMPL_(CCR_CONCAT(result_, __LINE__), name, expr, return )
#define CCR_CHECK(expr) CCR_CHECK_IMPL_(CCR_CONCAT(result_, __LINE__), expr, return )
#define CCR_CO_TRY(name, expr) CCR_TRY_IMPL_(CCR_CONCAT(result_, __LINE__), name, expr, co_return )
#define CCR_CO_CHECK(expr)                                           \
  do {                                                               \
    auto ccr_checked = expr;                                         \
    if (!ccr_checked.ok()) co_return std::move(ccr_checked).error(); \
  } while (false)
