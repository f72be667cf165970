<?php
// The few calls to AWS that the site makes, signed with the instance role's credentials.
declare(strict_types=1);

final class Aws
{
    private const METADATA = 'http://169.254.169.254/latest/';
    /** As AWS's own clients do, with a pause that doubles: 6 seconds in all. */
    private const TRIES = 6;
    private ?array $credentials = null;

    public function __construct(private string $region, private ?string $endpoint)
    {
    }

    /** Calls an operation of a service that speaks JSON. */
    public function json(string $service, string $target, array $input): array
    {
        $headers = ['content-type' => 'application/x-amz-json-1.1', 'x-amz-target' => $target];
        $body = $this->request($service, 'POST', '/', $headers, json_encode($input, JSON_THROW_ON_ERROR));
        return json_decode($body, true, 32, JSON_THROW_ON_ERROR);
    }

    /** Stores an object. */
    public function put(string $bucket, string $key, string $type, string $body): void
    {
        $path = '/' . rawurlencode($bucket) . '/' . implode('/', array_map('rawurlencode', explode('/', $key)));
        $this->request('s3', 'PUT', $path, ['content-type' => $type], $body);
    }

    /** Repeats what got no answer, or one that blames the service; every call here may be repeated. */
    private function request(string $service, string $method, string $path, array $headers, string $body): string
    {
        for ($try = 1; ; $try++) {
            try {
                return $this->send($service, $method, $path, $headers, $body);
            } catch (RuntimeException $fault) {
                $passes = $fault->getCode() === 0 || $fault->getCode() >= 500;
                if ($try === self::TRIES || !$passes) {
                    throw $fault;
                }
                usleep(100_000 << $try);
            }
        }
    }

    private function send(string $service, string $method, string $path, array $headers, string $body): string
    {
        $base = $this->endpoint ?? "https://$service.{$this->region}.amazonaws.com";
        $address = parse_url($base);
        $host = $address['host'] . (isset($address['port']) ? ":{$address['port']}" : '');
        $credentials = $this->credentials();
        $time = gmdate('Ymd\THis\Z');
        $hash = hash('sha256', $body);
        $headers += [
            'host' => $host,
            'x-amz-content-sha256' => $hash,
            'x-amz-date' => $time,
            'x-amz-security-token' => $credentials['Token'],
        ];
        ksort($headers);
        $names = implode(';', array_keys($headers));
        $lines = '';
        foreach ($headers as $name => $value) {
            $lines .= "$name:$value\n";
        }
        $request = hash('sha256', "$method\n$path\n\n$lines\n$names\n$hash");
        $scope = substr($time, 0, 8) . "/{$this->region}/$service/aws4_request";
        $key = 'AWS4' . $credentials['SecretAccessKey'];
        foreach (explode('/', $scope) as $part) {
            $key = hash_hmac('sha256', $part, $key, true);
        }
        $signature = hash_hmac('sha256', "AWS4-HMAC-SHA256\n$time\n$scope\n$request", $key);
        $headers['authorization'] = "AWS4-HMAC-SHA256 Credential={$credentials['AccessKeyId']}/$scope, "
            . "SignedHeaders=$names, Signature=$signature";
        return self::http($method, rtrim($base, '/') . $path, $headers, $body);
    }

    private function credentials(): array
    {
        if ($this->credentials === null) {
            $lifetime = ['x-aws-ec2-metadata-token-ttl-seconds' => '300'];
            $token = self::http('PUT', self::METADATA . 'api/token', $lifetime, '');
            $header = ['x-aws-ec2-metadata-token' => $token];
            $folder = self::METADATA . 'meta-data/iam/security-credentials/';
            $role = trim(self::http('GET', $folder, $header, ''));
            $found = self::http('GET', $folder . $role, $header, '');
            $this->credentials = json_decode($found, true, 8, JSON_THROW_ON_ERROR);
        }
        return $this->credentials;
    }

    private static function http(string $method, string $url, array $headers, string $body): string
    {
        $lines = array_map(fn ($name, $value) => "$name: $value", array_keys($headers), $headers);
        $call = curl_init($url);
        curl_setopt_array($call, [
            CURLOPT_CUSTOMREQUEST => $method,
            CURLOPT_HTTPHEADER => [...$lines, 'expect:'],
            CURLOPT_RETURNTRANSFER => true,
            CURLOPT_CONNECTTIMEOUT => 2,
            CURLOPT_TIMEOUT => 10,
        ]);
        if ($method !== 'GET') {
            curl_setopt($call, CURLOPT_POSTFIELDS, $body);
        }
        $answer = curl_exec($call);
        $status = curl_getinfo($call, CURLINFO_RESPONSE_CODE);
        if ($answer === false || $status >= 300) {
            $why = $answer === false ? curl_error($call) : "$status " . substr($answer, 0, 300);
            throw new RuntimeException("$method $url: $why", $status);
        }
        return $answer;
    }
}
