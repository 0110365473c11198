#pragma once

/// Memory that only starting a program takes.
namespace ccrules {

/// Unmaps the pages of code that have been run so far, of the program and its libraries; what is run again is mapped again
/// from the page cache, some microseconds for each 64 KB. Call once, when a long-lived program is ready to serve: a third of what
/// it holds then is code that read its configuration and compiled its rules. Code is never written, so nothing can be lost but a
/// debugger's breakpoints. Safe on any thread, whatever others do.
/// Source: madvise(2), MADV_DONTNEED on private file mappings.
void give_back_start_pages() noexcept;

}  // namespace ccrules
