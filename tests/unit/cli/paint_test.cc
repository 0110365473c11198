#include "cli/paint.h"

#include <sstream>

#include <catch2/catch.hpp>

using namespace ccrules::cli;

TEST_CASE("a table aligns its columns by what is seen, not by bytes or colours") {
  const Paint colour(true);
  Table table({Table::Align::kLeft, Table::Align::kRight});
  table.row({colour.bold("é"), "1"});
  table.row({"abc", "1,000"});
  std::ostringstream out;
  table.print(out, "  ");
  CHECK(out.str() == "  \x1b[1mé\x1b[0m        1\n  abc  1,000\n");
}

TEST_CASE("a table shows what a terminal would obey as '?', but for its own colours") {
  const Paint colour(true);
  Table table({Table::Align::kLeft, Table::Align::kLeft});
  table.row({colour.bold("a\x1b]0;title\x07"), "b\x1b[2J\r\nc"});
  table.row({"d\xc2\x9b" "31m", "e\xe2\x80\xae" "f"});  // U+009B begins what ESC [ begins, U+202E turns the text round
  std::ostringstream out;
  table.print(out);
  CHECK(out.str() == "\x1b[1ma?]0;title?\x1b[0m  b?[2J??c\nd??31m       e???f\n");
}

TEST_CASE("a long name does not push the other columns aside: its beginning and its end are shown, but in the last column") {
  const Paint colour(true);
  const std::string thirty = "/home/me/a-folder-with-a-name/";
  const std::string wide = "é" + std::string(28, 'x') + "é";
  Table table({Table::Align::kLeft, Table::Align::kRight, Table::Align::kLeft});
  table.row({thirty + thirty, "1", "-"});
  table.row({thirty + std::string(500, 'x') + thirty, "2", thirty + thirty + thirty});
  table.row({colour.red(wide + wide + wide), "3", "-"});
  std::ostringstream out;
  table.print(out);
  CHECK(out.str() == thirty + thirty + "  1  -\n" +                                                //
                         thirty + "…" + thirty.substr(1) + "  2  " + thirty + thirty + thirty + "\n" +  //
                         "\x1b[31m" + wide + "…" + wide.substr(2) + "\x1b[0m  3  -\n");
}

TEST_CASE("a table of what has to be copied stays whole") {
  const std::string command = "ccrules " + std::string(100, 'x');
  Table table({Table::Align::kLeft, Table::Align::kLeft}, Table::Long::kWhole);
  table.row({command, "-"});
  std::ostringstream out;
  table.print(out);
  CHECK(out.str() == command + "  -\n");
}

TEST_CASE("a table leaves no blanks at the end of a line") {
  Table table({Table::Align::kLeft, Table::Align::kLeft});
  table.row({"a", "long"});
  table.row({"b", ""});
  std::ostringstream out;
  table.print(out);
  CHECK(out.str() == "a  long\nb\n");
}

TEST_CASE("numbers get commas and dollars get four places while they are few") {
  CHECK(with_commas(0) == "0");
  CHECK(with_commas(999) == "999");
  CHECK(with_commas(1000) == "1,000");
  CHECK(with_commas(-1234567) == "-1,234,567");
  CHECK(usd(0) == "$0.0000");
  CHECK(usd(1'500'000) == "$0.0015");
  CHECK(usd(12'345'000'000) == "$12.35");
  CHECK(usd(-2'000'000'000) == "-$2.0000");
}
