// Parsing and flattening in one call; see flatten.c.

#ifndef HTDAG_TREESITTER_FLATTEN_H
#define HTDAG_TREESITTER_FLATTEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The part of tree_sitter/api.h (runtime 0.25) that is used here. The header
// itself lies in another Go module, out of reach of this package's compiler.
typedef struct TSLanguage TSLanguage;
typedef struct TSParser TSParser;
typedef struct TSTree TSTree;
typedef uint16_t TSSymbol;
typedef uint16_t TSFieldId;
typedef struct { uint32_t row, column; } TSPoint;
typedef struct { uint32_t context[4]; const void *id; const TSTree *tree; } TSNode;
typedef struct { const void *tree; const void *id; uint32_t context[3]; } TSTreeCursor;
typedef struct {
  void *payload;
  const char *(*read)(void *payload, uint32_t from, TSPoint position, uint32_t *length);
  int encoding; // 0 is UTF-8
  uint32_t (*decode)(const uint8_t *text, uint32_t length, int32_t *code_point);
} TSInput;
typedef struct { void *payload; uint32_t offset; bool has_error; } TSParseState;
typedef struct { void *payload; bool (*progress_callback)(TSParseState *); } TSParseOptions;

void ts_set_allocator(void *(*)(size_t), void *(*)(size_t, size_t), void *(*)(void *, size_t), void (*)(void *));
TSParser *ts_parser_new(void);
void ts_parser_delete(TSParser *);
bool ts_parser_set_language(TSParser *, const TSLanguage *);
const char *ts_language_symbol_name(const TSLanguage *, TSSymbol);
uint32_t ts_language_symbol_count(const TSLanguage *);
int ts_language_symbol_type(const TSLanguage *, TSSymbol);
const char *ts_language_field_name_for_id(const TSLanguage *, TSFieldId);
uint32_t ts_language_field_count(const TSLanguage *);

// flat_node has the layout of Node in tree.go.
typedef struct {
  uint32_t start, end, row, parent, next;
  uint16_t kind, field;
} flat_node;

typedef struct {
  TSParser *parser;
  flat_node *nodes;
  uint32_t count, capacity;
  uint32_t errors, missing, error_bytes;
  size_t cancelled; // set by another thread to stop a parse
} flat_parser;

typedef struct {
  uint64_t timeout_micros; // by the clock
  uint64_t busy_micros;    // of the processor
  uint32_t nodes;
} flat_limits;

enum { FLAT_OK, FLAT_STOPPED, FLAT_TOO_MANY_NODES, FLAT_NO_MEMORY };

flat_parser *flat_new(void);
void flat_delete(flat_parser *);
int flat_parse(flat_parser *, const char *text, uint32_t length, flat_limits);

#endif
