<?php
// Prints the configuration as JSON: the endpoints from the Parameter Store, the users from
// Secrets Manager, and who this instance is.
declare(strict_types=1);

require __DIR__ . '/../src/aws.php';

$aws = new Aws(getenv('REGION'), getenv('AWS_ENDPOINT_URL') ?: null);
$parameter = $aws->json('ssm', 'AmazonSSM.GetParameter', ['Name' => getenv('CONFIGURATION')]);
$config = json_decode($parameter['Parameter']['Value'], true, 8, JSON_THROW_ON_ERROR);

foreach (['databaseSecret' => 'databaseUser', 'loginSecret' => 'login'] as $from => $to) {
    $secret = $aws->json('secretsmanager', 'secretsmanager.GetSecretValue', ['SecretId' => $config[$from]]);
    $value = json_decode($secret['SecretString'], true, 8, JSON_THROW_ON_ERROR);
    $config[$to] = ['username' => $value['username'], 'password' => $value['password']];
}

$config += [
    'region' => getenv('REGION'),
    'endpoint' => getenv('AWS_ENDPOINT_URL') ?: null,
    'instance' => getenv('INSTANCE'),
    'zone' => getenv('ZONE'),
];
echo json_encode($config, JSON_THROW_ON_ERROR | JSON_PRETTY_PRINT | JSON_UNESCAPED_SLASHES), "\n";
