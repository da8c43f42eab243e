// What the poller beside it includes.
#pragma once
