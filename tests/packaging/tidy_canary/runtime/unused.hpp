// A header without its guard, included by the file before. expect: pragma-once
