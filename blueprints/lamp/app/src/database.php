<?php
// The two databases: the writer, and the replica that is read.
declare(strict_types=1);

require_once __DIR__ . '/silence.php';

// A server that goes away in the middle of a query must not keep the page for ever.
ini_set('mysqlnd.net_read_timeout', '5');

/** Connects to the 'writer' or the 'reader'. */
function connect(array $config, string $which): PDO
{
    if (!may_answer($which, $config[$which], (int) $config['port'])) {
        throw new PDOException("$config[$which] kept silent a moment ago");
    }
    $source = sprintf(
        'mysql:host=%s;port=%d;dbname=%s;charset=utf8mb4',
        $config[$which],
        $config['port'],
        $config['database'],
    );
    $user = $config['databaseUser'];
    try {
        return new PDO($source, $user['username'], $user['password'], [
            PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION,
            PDO::ATTR_DEFAULT_FETCH_MODE => PDO::FETCH_ASSOC,
            PDO::ATTR_EMULATE_PREPARES => false,
            PDO::ATTR_TIMEOUT => 1,
        ]);
    } catch (PDOException $fault) {
        kept_silent($which);
        throw $fault;
    }
}

/** Tries once a second until $work succeeds, at most $times. */
function retry(int $times, callable $work): mixed
{
    for ($try = 1; ; $try++) {
        try {
            return $work();
        } catch (Throwable $fault) {
            if ($try >= $times) {
                throw $fault;
            }
            sleep(1);
        }
    }
}
