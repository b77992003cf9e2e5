"""All settings, read from the environment by typed readers that stop with a sentence. Defaults run the embedded set-up."""

import base64
import datetime as dt
import os
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from django.core.exceptions import ImproperlyConfigured

import stackmotive.common.money  # noqa: F401  # sets the decimal context before anything counts

BASE_DIR = Path(__file__).resolve().parent.parent


# --- readers -----------------------------------------------------------------------------------------------------------


def text(name: str, default: str = "") -> str:
    """The variable, or the content of the file that NAME_FILE points to (secrets), or the default."""
    path = os.environ.get(f"{name}_FILE")
    if path:
        return Path(path).read_text(encoding="utf-8").strip()
    return os.environ.get(name, default)


def flag(name: str, *, default: bool) -> bool:
    value = text(name).lower()
    if value in ("", "1", "0", "true", "false", "on", "off", "yes", "no"):
        return default if value == "" else value in ("1", "true", "on", "yes")
    raise ImproperlyConfigured(f"{name} is {value!r}; say true or false.")


def whole(name: str, default: int) -> int:
    value = text(name)
    try:
        return int(value) if value else default
    except ValueError as exc:
        raise ImproperlyConfigured(f"{name} is {value!r}; say a whole number.") from exc


def words(name: str) -> list[str]:
    return [word.strip() for word in text(name).split(",") if word.strip()]


def day(name: str) -> dt.date | None:
    value = text(name)
    try:
        return dt.date.fromisoformat(value) if value else None
    except ValueError as exc:
        raise ImproperlyConfigured(f"{name} is {value!r}; say a day as YYYY-MM-DD.") from exc


def secret(name: str, *, bits: int) -> str:
    """A secret of at least `bits`; the embedded set-up makes its own, anywhere else its absence stops the start."""
    value = text(name)
    if DEBUG:
        return value or "insecure-development-only-" + "x" * 40
    if not value:
        raise ImproperlyConfigured(
            f"{name} is not set. Start with manage.py, which makes keys in its data directory, or set it."
        )
    if len(value) * 6 < bits or len(set(value)) < 10 or "change" in value.lower() or "example" in value.lower():
        raise ImproperlyConfigured(
            f"{name} is too weak. Make one: python -c 'import secrets; print(secrets.token_urlsafe(48))'"
        )
    return value


def database(url: str) -> dict[str, object]:
    """A Django database from postgresql://user:password@host:port/name?host=/socket/folder."""
    parts = urlsplit(url)
    if parts.scheme not in ("postgres", "postgresql"):
        raise ImproperlyConfigured("DATABASE_URL must start with postgresql://; no other database is supported.")
    query = dict(parse_qsl(parts.query))
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.path.lstrip("/"),
        "USER": parts.username or "",
        "PASSWORD": parts.password or "",
        "HOST": query.pop("host", None) or parts.hostname or "",
        "PORT": str(parts.port or ""),
        "CONN_MAX_AGE": 0,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {"pool": {"min_size": 1, "max_size": whole("DB_POOL_SIZE", 8), "timeout": 10}, **query},
    }


def redis_url(database_number: int) -> str:
    """REDIS_URL with a database number, for a TCP address or a unix socket."""
    if REDIS_URL.startswith("unix://"):
        return f"{REDIS_URL.partition('?')[0]}?db={database_number}"
    return f"{REDIS_URL.rstrip('/').partition('?')[0]}/{database_number}"


def celery_redis_url(database_number: int) -> str:
    if REDIS_URL.startswith("unix://"):
        path = REDIS_URL.removeprefix("unix://").partition("?")[0]
        return f"redis+socket://{path}?virtual_host={database_number}"
    return redis_url(database_number)


# --- core --------------------------------------------------------------------------------------------------------------

DEBUG = flag("DJANGO_DEBUG", default=False)
SECRET_KEY = secret("DJANGO_SECRET_KEY", bits=256)
DATA_DIR = Path(text("STACKMOTIVE_DATA_DIR") or BASE_DIR / ".data")
PUBLIC_URL = text("PUBLIC_URL", "http://127.0.0.1:8000").rstrip("/")
_public = urlsplit(PUBLIC_URL)
if _public.scheme not in ("http", "https") or not _public.hostname:
    raise ImproperlyConfigured(
        f"PUBLIC_URL is {PUBLIC_URL!r}; say the address people open, such as https://money.example.org"
    )
HTTPS = _public.scheme == "https"
ALLOWED_HOSTS = sorted({_public.hostname, "127.0.0.1", "localhost", "[::1]", *words("ALLOWED_HOSTS")})
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL, *words("CORS_ALLOWED_ORIGINS")]
ADMIN_PATH = text("ADMIN_PATH", "admin").strip("/")
TRUSTED_PROXIES = whole("TRUSTED_PROXIES", 0)  # how many proxies in front vouch for X-Forwarded-For
SIGNUP_OPEN = flag("SIGNUP_OPEN", default=True)
SIGNUP_TIER = text("SIGNUP_TIER", "observer")
AS_OF = day("AS_OF")  # fixes the valuation day only (demo); sessions, tokens and jobs use the real clock

INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_htmx",
    "django_structlog",
    "csp",
    "channels",
    "accounts",
    "notifications",
    "ingestion",
    "federation",
    "portfolio",
    "stackmotive",
]

MIDDLEWARE = [
    "stackmotive.common.middleware.RequestIds",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "stackmotive.common.middleware.SecurityPolicies",
    "stackmotive.common.middleware.CleanRequests",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "accounts.middleware.PeopleMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_structlog.middlewares.RequestMiddleware",
    "stackmotive.common.middleware.Problems",
    "accounts.middleware.LimitsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "stackmotive.urls"
ASGI_APPLICATION = "stackmotive.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "csp.context_processors.nonce",
            ]
        },
    }
]
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["accounts.backends.PasswordBackend"]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator",
        "OPTIONS": {"user_attributes": ["email"]},
    },
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "/login/"
LOGIN_REDIRECT_URL = "/"
LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
STATICFILES_FINDERS = [
    "django.contrib.staticfiles.finders.AppDirectoriesFinder",
    "stackmotive.common.vega_bundle.VegaBundleFinder",
]
WHITENOISE_USE_FINDERS = DEBUG
EMAIL_BACKEND = text("EMAIL_BACKEND", "django.core.mail.backends.console.EmailBackend")

# --- stores ------------------------------------------------------------------------------------------------------------

DATABASE_URL = text("DATABASE_URL", "postgresql:///stackmotive")
DATABASES = {"default": database(DATABASE_URL)}
REDIS_URL = text("REDIS_URL", "redis://127.0.0.1:6379")
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": redis_url(1), "TIMEOUT": 60}
}
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        # redis-py 8 gives up reads after 5 s by default, which would close every idle websocket.
        "CONFIG": {"hosts": [{"address": redis_url(2), "socket_timeout": None, "max_connections": 10_000}]},
    }
}
CELERY_BROKER_URL = celery_redis_url(0)
CELERY_RESULT_BACKEND = None
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ALWAYS_EAGER = flag("CELERY_TASK_ALWAYS_EAGER", default=False)
CELERY_IMPORTS = ["stackmotive.common.chart_images"]
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_SOFT_TIME_LIMIT = 600
CELERY_TASK_TIME_LIMIT = 660
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 3600}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0.2, "interval_max": 0.2}
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BEAT_SCHEDULE = {
    "beat-heart": {"task": "stackmotive.tasks.beat_heart", "schedule": 20.0, "options": {"expires": 20}},
    "purge-expired": {"task": "accounts.tasks.purge_expired", "schedule": 3600.0, "options": {"expires": 3600}},
    "sweep-imports": {"task": "ingestion.tasks.sweep_imports", "schedule": 15.0},
    "sweep-syncs": {"task": "ingestion.tasks.sweep_syncs", "schedule": 15.0},
    "start-due-syncs": {"task": "ingestion.tasks.start_due_syncs", "schedule": 300.0},
    "sweep-ledgers": {"task": "federation.tasks.sweep_ledgers", "schedule": 15.0},
    "sweep-figures": {"task": "portfolio.tasks.sweep_figures", "schedule": 15.0},
    "sweep-known": {"task": "portfolio.tasks.sweep_known", "schedule": 30.0},
}

# --- API ---------------------------------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "accounts.authentication.SessionTokenAuthentication",
        "accounts.authentication.BrowserSessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["stackmotive.common.rendering.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": [
        "stackmotive.common.parsing.StrictJSONParser",
        "stackmotive.common.parsing.StrictMultiPartParser",
    ],
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_PAGINATION_CLASS": "stackmotive.common.pagination.Pages",
    "DEFAULT_SCHEMA_CLASS": "stackmotive.common.schema.ProblemAutoSchema",
    "DEFAULT_VERSIONING_CLASS": "rest_framework.versioning.AcceptHeaderVersioning",
    "DEFAULT_VERSION": "1.0",
    "ALLOWED_VERSIONS": ["1.0"],
    "EXCEPTION_HANDLER": "stackmotive.common.problems.exception_handler",
    "COERCE_DECIMAL_TO_STRING": True,
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "StackMotive",
    "DESCRIPTION": "Self-hosted portfolio platform: facts from every source, one ledger, figures that explain themselves.",
    "VERSION": "1.0",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "SCHEMA_PATH_PREFIX": r"/api/",
    "ENUM_NAME_OVERRIDES": {
        "AccountKindEnum": "federation.models.BrokerAccount.Kind",
        "CorporateActionKindEnum": "federation.models.CorporateAction.Kind",
        "DecisionKindEnum": "federation.models.Decision.Kind",
        "FindingKindEnum": "portfolio.models.Finding.Kind",
        "InstrumentKindEnum": "federation.models.InstrumentKind",
        "JobStatusEnum": "ingestion.models.JobStatus",
        "SourceKindEnum": "ingestion.models.SourceKind",
        "TransactionKindEnum": "federation.models.TransactionKind",
    },
    "APPEND_COMPONENTS": {
        "securitySchemes": {
            "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
            "session": {"type": "apiKey", "in": "cookie", "name": "sessionid"},
        }
    },
}

JWT_SIGNING_KEY = secret("JWT_SIGNING_KEY", bits=256)
JWT_VERIFYING_KEYS = words("JWT_VERIFYING_KEYS")  # older keys: accepted, never used to sign
JWT_ISSUER = text("JWT_ISSUER", "stackmotive")
JWT_AUDIENCE = text("JWT_AUDIENCE", "stackmotive-api")
ACCESS_TOKEN_LIFETIME = dt.timedelta(minutes=whole("ACCESS_TOKEN_EXPIRE_MINUTES", 30))
REFRESH_TOKEN_LIFETIME = dt.timedelta(days=whole("REFRESH_TOKEN_EXPIRE_DAYS", 14))
FIELD_ENCRYPTION_KEYS = words("FIELD_ENCRYPTION_KEYS")  # kid:base64 of 32 bytes, newest first
if not FIELD_ENCRYPTION_KEYS:
    if not DEBUG:
        raise ImproperlyConfigured(
            "FIELD_ENCRYPTION_KEYS is not set: broker credentials and raw files could not be sealed."
        )
    FIELD_ENCRYPTION_KEYS = ["dev:" + base64.b64encode(b"d" * 32).decode()]

TIER_REQUESTS_PER_MINUTE = {"observer": 30, "navigator": 60, "operator": 120, "sovereign": 240}
ANONYMOUS_REQUESTS_PER_MINUTE = whole("ANONYMOUS_REQUESTS_PER_MINUTE", 60)
COSTLY_REQUESTS_PER_MINUTE = whole("COSTLY_REQUESTS_PER_MINUTE", 10)
PAGE_REQUESTS_PER_MINUTE = whole("PAGE_REQUESTS_PER_MINUTE", 600)
FAILED_LOGINS_PER_NAME = 10  # in 5 minutes
FAILED_LOGINS_PER_ADDRESS = 40
TIER_SOURCES = {"observer": 5, "navigator": 10, "operator": 25, "sovereign": 100}
TIER_RUNNING_JOBS = {"observer": 1, "navigator": 2, "operator": 4, "sovereign": 8}
TIER_SOCKETS = {"observer": 1, "navigator": 2, "operator": 5, "sovereign": 10}
TIER_TOPICS = {"observer": 2, "navigator": 5, "operator": 20, "sovereign": 100}

CSV_MAX_ROWS = whole("CSV_MAX_ROWS", 10_000)
CSV_MAX_BYTES = whole("CSV_MAX_SIZE_MB", 20) * 1024 * 1024
XML_MAX_BYTES = whole("XML_MAX_SIZE_MB", 256) * 1024 * 1024
DATA_UPLOAD_MAX_MEMORY_SIZE = 2_621_440
DATA_UPLOAD_MAX_NUMBER_FIELDS = 1000
FILE_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024

# --- security ----------------------------------------------------------------------------------------------------------

SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = HTTPS
SESSION_COOKIE_AGE = int(REFRESH_TOKEN_LIFETIME.total_seconds())
CSRF_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_FAILURE_VIEW = "stackmotive.common.problems.csrf_failure"
SECURE_SSL_REDIRECT = HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS and TRUSTED_PROXIES else None
SECURE_REDIRECT_EXEMPT = [r"^health/"]
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "connect-src": ["'self'"],
        "frame-ancestors": ["'none'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'"],
        "object-src": ["'none'"],
    }
}

# --- logs --------------------------------------------------------------------------------------------------------------

DJANGO_STRUCTLOG_TRUST_UPSTREAM_REQUEST_ID = True  # stackmotive.common.middleware.RequestIds has checked or made it
LOG_LEVEL = text("LOG_LEVEL", "INFO").upper()
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "stackmotive.common.logs.json_formatter"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    "loggers": {
        "uvicorn.access": {"level": "WARNING"},
        "django.server": {"level": "WARNING"},
        "py.warnings": {"level": "ERROR"},
    },
}

UNFOLD = {"SITE_TITLE": "StackMotive", "SITE_HEADER": "StackMotive", "SITE_URL": "/", "SHOW_HISTORY": False}
