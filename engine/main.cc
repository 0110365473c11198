#include "cli/run.h"

int main(int argc, char** argv) {
  return ccrules::cli::run(argc, argv);
}
