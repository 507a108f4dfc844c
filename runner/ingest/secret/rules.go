package secret

// Rule says what one sort of secret looks like. To add one, add it to rules with
// examples of what it finds and what it leaves alone, and run the tests of this package;
// then raise ingest.ExtractorVersion, so that files already stored are looked at again.
type Rule struct {
	Name string // as findings name it; never changed, or old findings would seem new

	// Keywords of which one stands in every match: lower case, at least four bytes,
	// the rarer the better. They are found in either case.
	Keywords []string

	// Pattern (RE2) of the line from the keyword on, whose one group is the secret.
	// With Until all base64 from what it matches up to Until is.
	Pattern string
	Until   string
	Before  string // pattern of the line up to the keyword; none for anything

	Entropy float64  // least bits per byte of the secret
	Kinds   int      // least number of: small letters, capitals, digits, others
	Files   []string // endings of names that the rule is for, lower case; none for all

	// Examples, in which a ¦ is taken out first: so no scanner takes them for secrets.
	Finds, Leaves []string
}

// configuration is where values are written without quotes.
var configuration = []string{".env", ".ini", ".cfg", ".conf", ".properties", ".yaml", ".yml", ".toml", ".netrc", ".npmrc", ".pypirc", ".tfvars"}

// wordStart says that a keyword begins a word.
const wordStart = `(?:^|[^A-Za-z0-9_])$`

var rules = []Rule{
	{
		Name:     "private-key",
		Keywords: []string{"-----begin"},
		Pattern:  `-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----`,
		Until:    "-----END",
		Entropy:  3.5,
		Finds: []string{
			"-----BEGIN PRIVATE¦ KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgevZzL1gdAFr88hb2\nOF/2NxApJCzGCEDdfSp6VQO30hyhRANCAAQRWz+jn65BtOMvdyHKcvjBeBSDZH2r\n-----END PRIVATE KEY-----",
			`key := "-----BEGIN RSA PRIVATE¦ KEY-----\nMIIEpAIBAAKCAQEA7yXtCqOm3ZyqQp0V5sRZ8wHn4kLgJc9dTb1fUx2eYvMjWkPi\n" + "aRhGsNqBzCuXlEoTf6DmVyJ8K5Qw==\n-----END RSA PRIVATE KEY-----"`,
		},
		Leaves: []string{
			"-----BEGIN PRIVATE¦ KEY-----\n...\n-----END PRIVATE KEY-----",
			"-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEVs/o5+uQbTjL3chynL4wXgUg2R9\nqMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n-----END PUBLIC KEY-----",
			`strings.HasPrefix(s, "-----BEGIN RSA PRIVATE¦ KEY-----")`,
		},
	},
	{
		Name:     "aws-access-key",
		Keywords: []string{"akia", "asia", "abia", "acca"},
		Pattern:  `(?:AKIA|ASIA|ABIA|ACCA)([A-Z2-7]{16})\b`,
		Before:   wordStart,
		Entropy:  3,
		Finds:    []string{`aws_access_key_id = AKIA¦Z7QWERTCV3MPLX2K`, `"ASIA¦QNZ3GNVTBBVKZLU2"`},
		Leaves:   []string{`AKIA¦IOSFODNN7EXAMPLE`, `EurAsia and AKIA`, `AKIA¦AAAAAAAAAAAAAAAA`},
	},
	{
		Name:     "aws-secret-key",
		Keywords: []string{"secret_access_key", "secretaccesskey", "secret-access-key", "aws_secret"},
		Pattern:  `(?i)(?:aws_)?secret(?:.?access.?key|[a-z_]*)["']?\s*(?::=|=>|[=:])\s*["']?([A-Za-z0-9/+]{40})(?:[^A-Za-z0-9/+=]|$)`,
		Entropy:  4,
		Finds:    []string{`aws_secret_access_key = k7Q/x2¦mPz0LwVb8sRtYc5GnHj3DfKu9AeXi1oMqW`, `SecretAccessKey: "¦k7Q/x2mPz0LwVb8sRtYc5GnHj3DfKu9AeXi1oMqW"`},
		Leaves:   []string{`aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY`, `secret_access_key = os.environ["AWS_SECRET_ACCESS_KEY"]`},
	},
	{
		Name:     "github-token",
		Keywords: []string{"ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"},
		Pattern:  `(?:gh[pousr]_|github_pat_)([A-Za-z0-9_]{36,})\b`,
		Before:   wordStart,
		Entropy:  3,
		Finds:    []string{`token: ghp_¦16C7e42F292c6912E7K0c838347Ae178B4aQ`, `github_pat_¦11AQCZELG0Zk3nT9xWq7Lm_v5Rb2Yp8Ud4Hs6Jf1Gc0Xe`},
		Leaves:   []string{`ghp_¦xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx`, `a token begins with ghp_ or ghs_`},
	},
	{
		Name:     "gitlab-token",
		Keywords: []string{"glpat-", "gldt-", "glrt-", "glptt-"},
		Pattern:  `gl(?:pat|dt|rt|ptt)-([A-Za-z0-9_-]{20,64})`,
		Before:   wordStart,
		Entropy:  3,
		Finds:    []string{`GITLAB_TOKEN=glpat-¦Zk3nT9xWq7Lm-v5Rb2Yp`},
		Leaves:   []string{`glpat-XXXXXXXXXXXXXXXXXXXX`, `glpat-<your token>`},
	},
	{
		Name:     "slack-token",
		Keywords: []string{"xoxa-", "xoxb-", "xoxe-", "xoxp-", "xoxr-", "xoxs-", "xapp-"},
		Pattern:  `(?:xox[abeprs]|xapp)-([A-Za-z0-9-]{20,})`,
		Before:   wordStart,
		Entropy:  3,
		Finds:    []string{`xoxb-¦2345098761-9876098765-Zk3nT9xWq7Lmv5Rb2Yp8Ud4H`},
		Leaves:   []string{`xoxb-your-token-goes-here`, `strings.HasPrefix(token, "xoxb-")`},
	},
	{
		Name:     "slack-webhook",
		Keywords: []string{"hooks.slack.com"},
		Pattern:  `hooks\.slack\.com/(?:services|workflows)/([A-Z0-9]+/[A-Z0-9]+/[A-Za-z0-9]{16,})`,
		Entropy:  3,
		Finds:    []string{`https://hooks.slack.com/services/¦T03KX91ZQ/B04LM72WR/Zk3nT9xWq7Lmv5Rb2Yp8Ud4H`},
		Leaves:   []string{`https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX`},
	},
	{
		Name:     "google-api-key",
		Keywords: []string{"aiza"},
		Pattern:  `AIza([A-Za-z0-9_-]{35})(?:[^A-Za-z0-9_-]|$)`,
		Before:   wordStart,
		Entropy:  3.5,
		Finds:    []string{`key: "AIza¦SyBk3nT9xWq7Lmv5Rb2Yp8Ud4Hs6Jf1Gc0X"`},
		Leaves:   []string{`AIzaSy...`, `AIza¦aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa`},
	},
	{
		Name:     "stripe-key",
		Keywords: []string{"sk_live_", "sk_test_", "rk_live_", "rk_test_"},
		Pattern:  `[sr]k_(?:live|test)_([A-Za-z0-9]{20,})\b`,
		Before:   wordStart,
		Entropy:  3,
		Finds:    []string{`sk_live_¦Zk3nT9xWq7Lmv5Rb2Yp8Ud4H`},
		Leaves:   []string{`sk_test_`, `sk_test_¦your0000key0000goes0000here`},
	},
	{
		Name:     "npm-token",
		Keywords: []string{"npm_"},
		Pattern:  `npm_([A-Za-z0-9]{36})\b`,
		Before:   wordStart,
		Entropy:  3.5,
		Finds:    []string{`//registry.npmjs.org/:_authToken=npm_¦Zk3nT9xWq7Lmv5Rb2Yp8Ud4Hs6Jf1Gc0Xe2K`},
		Leaves:   []string{`npm_config_registry=https://registry.npmjs.org`, `npm_¦aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa`},
	},
	{
		Name:     "pypi-token",
		Keywords: []string{"pypi-ageichlwas5vcmc"},
		Pattern:  `pypi-AgEIcHlwaS5vcmc([A-Za-z0-9_-]{50,})`,
		Before:   wordStart,
		Entropy:  3.5,
		Finds:    []string{`password = pypi-¦AgEIcHlwaS5vcmcCJDVkZk3nT9xWq7Lmv5Rb2Yp8Ud4Hs6Jf1Gc0Xe2KZk3nT9xWq7Lmv5Rb`},
		Leaves:   []string{`pypi-AgEIcHlwaS5vcmc...`},
	},
	{
		Name:     "model-provider-key",
		Keywords: []string{"sk-ant-", "sk-proj-"},
		Pattern:  `sk-(?:proj|ant-[a-z0-9]+)-([A-Za-z0-9_-]{40,})`,
		Before:   wordStart,
		Entropy:  3.5,
		Finds:    []string{`API_KEY=sk-proj-¦Zk3nT9xWq7Lmv5Rb2Yp8T3BlbkFJUd4Hs6Jf1Gc0Xe2KZk3n`},
		Leaves:   []string{`sk-ant-api03-...`},
	},
	{
		Name:     "platform-token",
		Keywords: []string{"dop_v1_", "doo_v1_", "dor_v1_", "dckr_pat_", "shpat_", "shpss_", "hvs.", "age-secret-key-1"},
		Pattern:  `(?:do[opr]_v1_|dckr_pat_|shp(?:at|ss)_|hvs\.|AGE-SECRET-KEY-1)([A-Za-z0-9_-]{24,})`,
		Before:   wordStart,
		Entropy:  3,
		Finds: []string{
			`dop_v1_¦7f3a9c1e5b8d2046a7f3e9c1b5d80264f7a3c9e1b5d8206447f3a9c1e5b8d204`,
			`AGE-SECRET-KEY-1¦GFPYYSJZGFPYYSJZQPZRY9X8GF2TVDW0S3JN54KHCE6MUA7LQPZRY9X8GF`,
		},
		Leaves: []string{`dop_v1_ is the prefix`, `hvs.x`},
	},
	{
		Name:     "storage-account-key",
		Keywords: []string{"accountkey="},
		Pattern:  `AccountKey=([A-Za-z0-9+/]{86}==)`,
		Entropy:  4,
		Finds:    []string{`AccountName=x;AccountKey=¦Zk3nT9xWq7Lmv5Rb2Yp8Ud4Hs6Jf1Gc0Xe2KZk3nT9xWq7Lmv5Rb2Yp8Ud4Hs6Jf1Gc0Xe2KAb+/cdEFghIJ12==`},
		Leaves:   []string{`AccountKey=<key>`},
	},
	{
		Name:     "json-web-token",
		Keywords: []string{"eyjh", "eyj0", "eyjr"},
		Pattern:  `(eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{32,})`,
		Before:   wordStart,
		Entropy:  4,
		Finds:    []string{`eyJ¦hbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiI0MjQyIiwibmFtZSI6IkFubiJ9.Qm9vR3Jhbm5pZXNXaWxsTm90VGVsbEFueW9uZVRoYXQ0Mg`},
		Leaves:   []string{`eyJhbGciOiJIUzI1NiJ9.payload.signature`, `eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9`},
	},
	{
		Name:     "authorization-header",
		Keywords: []string{"authorization"},
		Pattern:  `(?i)authorization["']?\s*[:=,]\s*["'\x60]?(?:basic|bearer|token)\s+([A-Za-z0-9+/=_.-]{20,})`,
		Entropy:  3.5,
		Kinds:    3,
		Finds:    []string{`curl -H "Authorization: Bearer ¦Zk3nT9xWq7Lmv5Rb2Yp8Ud4H"`, `req.Header.Set("Authorization", "Basic ¦YW5uOmM0dHMtYW5kLWQwZ3M=")`},
		Leaves:   []string{`Authorization: Bearer $TOKEN`, `Authorization: Bearer <access token>`, `Authorization: Basic base64EncodedCredentials`},
	},
	{
		Name:     "password-in-address",
		Keywords: []string{"p://", "s://", "l://", "b://", "v://", "q://"},
		Pattern:  `[a-z]://[^\s:@/"'\x60<>?#,|\\]*:([^\s@/"'\x60<>?#,|\\]{5,})@[A-Za-z0-9\[]`,
		Entropy:  2.5,
		Kinds:    2,
		Finds:    []string{`postgres://app:v3ryL0ng¦Indeed@db.internal:5432/app`, `https://ann:c4ts-and¦-d0gs@github.com/x/y.git`},
		Leaves: []string{
			`https://user:pass@host/`, `postgres://postgres:postgres@localhost`, `redis://:${REDIS_PASSWORD}@cache:6379`, `https://host:8080/a@b`,
			`http://user:password@host`, `amqp://guest:guest@localhost`, `https://{user}:{password}@host`, `https://a:%s@b`,
		},
	},
	{
		Name:     "assigned-password",
		Keywords: []string{"passw", "pwd=", "pwd:", "pwd ", "passphrase"},
		Pattern:  `(?i)(?:passw(?:or)?d|pwd|passphrase)(?:["']?\s*(?::=|=>|[=:])\s*)["'\x60]([^\s"'\x60]{8,})["'\x60]`,
		Entropy:  2.75,
		Kinds:    3,
		Finds:    []string{`password = "c4ts-¦and-D0gs"`, `"dbPassword": 'T0m&¦Jerry99'`, `PWD := "9xWq7Lmv¦5Rb2"`},
		Leaves: []string{
			`password = "changeme"`, `password: "${DB_PASSWORD}"`, `passwordField = "input-password"`, `password = getPassword("main")`,
			`password = "Password1!"`, `ErrPassword = "wrong-word"`, `if password == "" {`,
		},
	},
	{
		Name:     "assigned-secret",
		Keywords: []string{"secret", "token", "api_key", "apikey", "api-key", "access_key", "accesskey", "access-key", "private_key", "privatekey", "auth_key", "authkey", "credential"},
		Pattern:  `(?i)(?:secret|token|api[_-]?key|access[_-]?key|private[_-]?key|auth[_-]?key|credentials?)(?:[_-]?(?:key|id|value|string|secret))?(?:["']?\s*(?::=|=>|[=:])\s*)["'\x60]([A-Za-z0-9+/=_.~-]{16,})["'\x60]`,
		Entropy:  3.7,
		Kinds:    3,
		Finds:    []string{`client_secret = "Zk3nT9xWq7Lm¦v5Rb2Yp8"`, `"apiKey": "¦7f3A9c1e5b8d2046"`, `const AUTH_TOKEN = 'Zk3nT9xWq7¦Lmv5Rb2Yp8Ud4H'`},
		Leaves: []string{
			`secret = "some-long-name-of-a-thing"`, `token = "IDENTIFIER_OR_KEYWORD"`, `tokenURL = "https://oauth2.googleapis.com/token"`,
			`api_key = "YOUR_API_KEY_1234"`, `secretName: "my-app-tls-secret-v1"`, `token: "aaaaaaaaaaaaaaaaaaaaaaaa"`, `secret := "example-Secret-0123"`,
		},
	},
	{
		Name:     "configured-secret",
		Keywords: []string{"passw", "secret", "token", "api_key", "apikey", "api-key", "access_key", "private_key"},
		Pattern:  `(?i)(?:passw(?:or)?d|secret|token|api[_-]?key|access[_-]?key|private[_-]?key)["']?\s*[=:]\s*([^\s\"'\x60#;,]{10,})\s*(?:#.*)?$`,
		Before:   `(?i)^\s*(?:export\s+|-\s+)?[\"']?[a-z0-9_./:-]*$`,
		Entropy:  3.2,
		Kinds:    3,
		Files:    configuration,
		Finds:    []string{`.env: DB_PASSWORD=c4ts-and¦-D0gs42`, `app.yaml:   apiKey: ¦Zk3nT9xWq7Lmv5Rb2Yp8`, `x.properties: auth.token = Zk3nT9xWq7¦Lmv5Rb2Yp8  # do not lose`},
		Leaves: []string{
			`.env: DB_PASSWORD=`, `app.yaml: password: ${DB_PASSWORD}`, `app.yaml: token: {{ .Values.token }}`, `main.go: DB_PASSWORD=c4ts-and-D0gs42`,
			`app.yaml: secret: db-credentials-v2`, `app.yaml: secretName: Zk3nT9xWq7Lmv5Rb2Yp8`, `app.yaml: token: !vault |`,
		},
	},
}
