<?php
// Parts that do not answer. A zone that is lost answers nothing at all, not even that it is gone:
// whoever waited for each of its parts on each page would be slow for as long as it is away. So a
// part that kept silent is asked again at most once a second, and then only waited for briefly.
declare(strict_types=1);

/** How long a part that kept silent may take to answer again, in seconds. */
const PATIENCE = 0.25;

function mark(string $part): string
{
    return "/tmp/lamp-silent-$part";
}

/** Notes that a part did not answer; false where that cannot be noted. */
function kept_silent(string $part): bool
{
    return @touch(mark($part));
}

/** Whether it is worth asking a part. */
function may_answer(string $part, string $host, int $port): bool
{
    clearstatcache();
    $since = @filemtime(mark($part));
    if ($since === false) {
        return true;
    }
    if (time() - $since < 1) {
        return false;
    }
    if (!kept_silent($part)) {
        return true;
    }
    $probe = @stream_socket_client("tcp://$host:$port", $code, $why, PATIENCE);
    if ($probe === false) {
        return false;
    }
    fclose($probe);
    @unlink(mark($part));
    return true;
}
