<?php
// Makes the tables and the user who can log in. Every instance runs it; it may run many times.
declare(strict_types=1);

require __DIR__ . '/../src/database.php';

$config = json_decode(file_get_contents('/etc/lamp/config.json'), true, 8, JSON_THROW_ON_ERROR);
$writer = retry(60, fn () => connect($config, 'writer'));

$writer->exec('CREATE TABLE IF NOT EXISTS users (
    name VARCHAR(64) PRIMARY KEY,
    password_hash VARCHAR(255) NOT NULL
)');
$writer->exec('CREATE TABLE IF NOT EXISTS entries (
    id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY,
    author VARCHAR(64) NOT NULL,
    body VARCHAR(500) NOT NULL,
    written TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    web_instance VARCHAR(64) NOT NULL,
    app_instance VARCHAR(64) NOT NULL
)');
$statement = $writer->prepare('INSERT INTO users (name, password_hash) VALUES (?, ?)
    ON DUPLICATE KEY UPDATE password_hash = VALUES(password_hash)');
$login = $config['login'];
$statement->execute([$login['username'], password_hash($login['password'], PASSWORD_DEFAULT)]);
