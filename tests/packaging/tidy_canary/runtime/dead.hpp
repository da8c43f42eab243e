// A header that nobody includes. expect: dead-file
#pragma once
