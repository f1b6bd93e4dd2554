/*
 * A test extension that leaks, request by request, as bad extensions do: into its TSRM globals, which GSHUTDOWN frees, and
 * into a C++ thread_local, which is destroyed when the OS thread ends. Counters of all threads show what is still there.
 */
extern "C" {
#include "php.h"
}
#include <atomic>
#include <vector>

static std::atomic<zend_long> tsrm_bytes, local_bytes, tsrm_threads, local_threads;

struct leaked_locally {
	std::vector<std::vector<char>> blocks;
	zend_long bytes = 0;

	leaked_locally() { local_threads++; }
	~leaked_locally()
	{
		local_bytes -= bytes;
		local_threads--;
	}
};

static thread_local leaked_locally local;

struct block {
	block *next;
	size_t size;
};

ZEND_BEGIN_MODULE_GLOBALS(ftmleak)
	block *blocks;
ZEND_END_MODULE_GLOBALS(ftmleak)

ZEND_DECLARE_MODULE_GLOBALS(ftmleak)

static PHP_GINIT_FUNCTION(ftmleak)
{
	ftmleak_globals->blocks = nullptr;
	tsrm_threads++;
}

static PHP_GSHUTDOWN_FUNCTION(ftmleak)
{
	while (block *b = ftmleak_globals->blocks) {
		ftmleak_globals->blocks = b->next;
		tsrm_bytes -= (zend_long) b->size;
		free(b);
	}
	tsrm_threads--;
}

/* ftm_leak(int $bytes): leaks as many bytes in either place, 24 or more; all of them are written to. */
PHP_FUNCTION(ftm_leak)
{
	zend_long bytes;

	ZEND_PARSE_PARAMETERS_START(1, 1)
		Z_PARAM_LONG(bytes)
	ZEND_PARSE_PARAMETERS_END();
	size_t size = (size_t) MAX(bytes, (zend_long) sizeof(block));
	block *b = static_cast<block *>(malloc(size));
	if (!b) {
		zend_error_noreturn(E_ERROR, "out of memory");
	}
	memset(b, 1, size);
	b->next = ZEND_MODULE_GLOBALS_ACCESSOR(ftmleak, blocks);
	b->size = size;
	ZEND_MODULE_GLOBALS_ACCESSOR(ftmleak, blocks) = b;
	tsrm_bytes += (zend_long) size;

	local.blocks.emplace_back(size, 1);
	local.bytes += (zend_long) size;
	local_bytes += (zend_long) size;
}

/* ftm_leaked(): array: what all threads of the process hold now. */
PHP_FUNCTION(ftm_leaked)
{
	ZEND_PARSE_PARAMETERS_NONE();
	array_init(return_value);
	add_assoc_long(return_value, "tsrm_bytes", tsrm_bytes);
	add_assoc_long(return_value, "local_bytes", local_bytes);
	add_assoc_long(return_value, "tsrm_threads", tsrm_threads);
	add_assoc_long(return_value, "local_threads", local_threads);
}

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_leak, 0, 1, IS_VOID, 0)
	ZEND_ARG_TYPE_INFO(0, bytes, IS_LONG, 0)
ZEND_END_ARG_INFO()
ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_leaked, 0, 0, IS_ARRAY, 0)
ZEND_END_ARG_INFO()

static const zend_function_entry functions[] = {
	PHP_FE(ftm_leak, arginfo_leak)
	PHP_FE(ftm_leaked, arginfo_leaked)
	PHP_FE_END
};

static zend_module_entry ftmleak_module_entry = {
	STANDARD_MODULE_HEADER,
	"ftmleak",
	functions,
	nullptr, nullptr, nullptr, nullptr, nullptr,
	"1",
	PHP_MODULE_GLOBALS(ftmleak),
	PHP_GINIT(ftmleak),
	PHP_GSHUTDOWN(ftmleak),
	nullptr,
	STANDARD_MODULE_PROPERTIES_EX
};

extern "C" {
ZEND_GET_MODULE(ftmleak)
}
