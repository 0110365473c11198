# Embeds text files into the binary: embed_files(TARGET ROOT FILE...) compiles them into TARGET, where
# core/embedded.h finds them by their path below ROOT.
function(embed_files target root)
  set(dir ${CMAKE_CURRENT_BINARY_DIR}/embedded)
  file(MAKE_DIRECTORY ${dir})
  set(asm ".section .rodata\n")
  set(externs "")
  set(rows "")
  set(n 0)
  foreach(path IN LISTS ARGN)
    file(RELATIVE_PATH name ${root} ${path})
    string(APPEND asm ".balign 16\n.global ccr_embedded_${n}\nccr_embedded_${n}:\n.incbin \"${path}\"\n.global ccr_embedded_${n}_end\nccr_embedded_${n}_end:\n.byte 0\n")
    string(APPEND externs "extern const char ccr_embedded_${n}[];\nextern const char ccr_embedded_${n}_end[];\n")
    string(APPEND rows "    {\"${name}\", ccr_embedded_${n}, ccr_embedded_${n}_end},\n")
    math(EXPR n "${n} + 1")
  endforeach()
  string(APPEND asm ".section .note.GNU-stack,\"\",%progbits\n")
  file(CONFIGURE OUTPUT ${dir}/files.S CONTENT "${asm}" @ONLY)
  file(CONFIGURE OUTPUT ${dir}/table.cc CONTENT
"#include \"core/embedded.h\"
extern \"C\" {
${externs}}
namespace ccrules::embedded {
extern const Row kRows[];
extern const std::size_t kRowCount;
const Row kRows[] = {
${rows}    {nullptr, nullptr, nullptr}};  // ends the table, is not counted
const std::size_t kRowCount = ${n};
}  // namespace ccrules::embedded
" @ONLY)
  set_source_files_properties(${dir}/files.S PROPERTIES OBJECT_DEPENDS "${ARGN}")
  target_sources(${target} PRIVATE ${dir}/files.S ${dir}/table.cc)
endfunction()
