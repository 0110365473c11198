#include "cli/pack/git.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstring>
#include <string_view>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/paint.h"
#include "core/limits.h"
#include "core/text.h"
#include "packs/folder.h"

namespace ccrules::cli {
namespace {

using std::chrono::steady_clock;

constexpr rlim_t kGitFileBytes = 64U * 1024 * 1024;  // one file git writes: a repository of packs is small
constexpr std::size_t kMessageBytes = 2000;          // of what git says when it fails

/// Only what git needs to find its programs and a person's ssh keys.
std::vector<std::string> clean(const Environment& environment) {
  std::vector<std::string> out = {"GIT_TERMINAL_PROMPT=0",      "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
                                  "GIT_ALLOW_PROTOCOL=https:ssh:file", "GIT_ASKPASS=true",      "SSH_ASKPASS=true",
                                  "LC_ALL=C"};
  bool path = false;
  for (const char* name : {"PATH", "HOME", "USER", "SSH_AUTH_SOCK", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY"}) {
    const auto found = environment.find(name);
    if (found == environment.end()) continue;
    path = path || std::string_view(name) == "PATH";
    out.push_back(std::string(name) + "=" + found->second);
  }
  if (!path) out.emplace_back("PATH=/usr/local/bin:/usr/bin:/bin");
  return out;
}

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> out;
  for (std::string& word : words) out.push_back(word.data());
  out.push_back(nullptr);
  return out;
}

/// Reads what the child says until it ends or the time is over; true when it ended by itself.
bool listen(int pipe, std::string& said, steady_clock::time_point until) {
  char block[4096];
  for (;;) {
    const ssize_t got = ::read(pipe, block, sizeof block);
    if (got == 0) return true;
    if (got > 0) {
      if (said.size() < kMessageBytes) said.append(block, std::min(static_cast<std::size_t>(got), kMessageBytes - said.size()));
      continue;
    }
    if (errno != EAGAIN && errno != EINTR) return true;
    if (steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

/// Runs git and waits for it. Its words go to the error.
Result<void> run_git(std::vector<std::string> words, const Environment& environment) {
  words.insert(words.begin(), "git");
  std::vector<std::string> variables = clean(environment);
  const std::vector<char*> argv = pointers(words);
  const std::vector<char*> envp = pointers(variables);
  // execvpe looks along the parent's PATH: the child's is the same text.
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return internal_error("no pipe for git");
  const pid_t child = ::fork();
  if (child < 0) {
    ::close(ends[0]);
    ::close(ends[1]);
    return internal_error("git could not be started");
  }
  if (child == 0) {
    // Only async-signal-safe calls from here to exec.
    const int null = ::open("/dev/null", O_RDWR);
    ::dup2(null, 0);
    ::dup2(ends[1], 1);
    ::dup2(ends[1], 2);
    rlimit bound{kGitFileBytes, kGitFileBytes};
    ::setrlimit(RLIMIT_FSIZE, &bound);
    ::setpgid(0, 0);  // so that its helpers end with it
    ::execvpe("git", argv.data(), envp.data());
    ::_exit(127);
  }
  ::close(ends[1]);
  ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
  std::string said;
  const bool ended = listen(ends[0], said, steady_clock::now() + limits::kPackFetchTime);
  ::close(ends[0]);
  if (!ended) ::kill(-child, SIGKILL);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (!ended) return bad_request("git did not finish within " + std::to_string(limits::kPackFetchTime.count()) + " s");
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  if (WIFEXITED(status) && WEXITSTATUS(status) == 127) return bad_request("the program git is not installed");
  said = text::to_valid_utf8(text::trim(said));
  std::replace(said.begin(), said.end(), '\n', ' ');
  said = plain_text(said);  // a server may have written it
  return bad_request("git could not fetch: " + (said.empty() ? "it was stopped" : said));
}

}  // namespace

Result<GitSource> parse_git_source(const std::string& source) {
  constexpr std::string_view kPrefix = "git+";
  GitSource out;
  out.url = source.substr(source.starts_with(kPrefix) ? kPrefix.size() : 0);
  if (const std::size_t hash = out.url.find('#'); hash != std::string::npos) {
    out.ref = out.url.substr(hash + 1);
    out.url.resize(hash);
    if (const std::size_t colon = out.ref.find(':'); colon != std::string::npos) {
      out.folder = out.ref.substr(colon + 1);
      out.ref.resize(colon);
    }
  }
  const bool known = out.url.starts_with("https://") || out.url.starts_with("ssh://") || out.url.starts_with("file:///");
  const bool plain = std::all_of(out.url.begin(), out.url.end(), [](char c) { return c > 0x20 && c < 0x7f && c != '\\'; });
  // "ssh://-oProxyCommand=..." would be a flag of ssh's.
  const std::size_t host = out.url.find("://") + 3;
  if (!known || !plain || out.url.find("::") != std::string::npos || (host < out.url.size() && out.url[host] == '-') ||
      out.url.find("@-") != std::string::npos) {
    return bad_request("a git source is git+https://, git+ssh:// or git+file:/// and the repository's path (got '" +
                       text::to_valid_utf8(source) + "')");
  }
  constexpr std::string_view kRefCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._/-+";
  if (out.ref.starts_with('-') || out.ref.find_first_not_of(kRefCharacters) != std::string::npos ||
      out.ref.find("..") != std::string::npos) {
    return bad_request("'" + text::to_valid_utf8(out.ref) + "' is no name of a branch, tag or commit");
  }
  if (!out.folder.empty()) CCR_CHECK(packs::check_path(out.folder));
  return out;
}

Result<void> fetch_git(const GitSource& source, const std::string& directory, const Environment& environment) {
  const std::vector<std::string> careful = {"-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false",
                                            "-c", "credential.helper=",       "-c", "protocol.ext.allow=never"};
  const auto with = [&careful](std::vector<std::string> words) {
    words.insert(words.begin(), careful.begin(), careful.end());
    return words;
  };
  CCR_CHECK(run_git(with({"init", "--quiet", "--template=", "--", directory}), environment));
  CCR_CHECK(run_git(with({"-C", directory, "fetch", "--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules", "--", source.url,
                          source.ref.empty() ? "HEAD" : source.ref}),
                    environment));
  return run_git(with({"-C", directory, "checkout", "--quiet", "--detach", "FETCH_HEAD"}), environment);
}

}  // namespace ccrules::cli
