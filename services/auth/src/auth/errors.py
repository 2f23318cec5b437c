"""Errors of the auth service, with stable codes."""

from common.web.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Problem,
    TooManyRequests,
    Unauthorized,
    Unavailable,
)


class InvalidCredentials(Unauthorized):
    """Unknown user, wrong password or disabled account; the response does not say which."""

    code = "invalid_credentials"
    title = "Wrong user name or password"


class AccountGone(Unauthorized):
    """The token is valid, but its account was deleted or disabled since."""

    code = "account_gone"
    title = "Account no longer active"


class InvalidRefreshToken(Unauthorized):
    """The refresh token is unknown, its session has ended, or it was used before, which ends its session."""

    code = "invalid_refresh_token"
    title = "Refresh token not valid"


class InvalidApiKey(Unauthorized):
    """The API key is unknown, revoked or expired, or its owner's account is disabled."""

    code = "invalid_api_key"
    title = "API key not valid"


class WrongPassword(Forbidden):
    """The current password is not the one given."""

    code = "wrong_password"
    title = "Wrong password"


class SignInNeeded(Forbidden):
    """An API key does not permit this operation: sign in with user name and password."""

    code = "sign_in_needed"
    title = "Not with an API key"


class ScopeNotAllowed(Forbidden):
    """Only administrators may create API keys with the scope admin."""

    code = "scope_not_allowed"
    title = "Scope not allowed"


class RegistrationDisabled(Forbidden):
    """ALLOW_REGISTRATION is off: only an administrator creates accounts."""

    code = "registration_disabled"
    title = "Registration is disabled"


class WeakPassword(Invalid):
    """The new password is too easy to guess."""

    code = "weak_password"
    title = "Password too weak"


class UsernameTaken(Conflict):
    """Another account has this name or a similar one."""

    code = "username_taken"
    title = "User name taken"


class LastAdmin(Conflict):
    """The change would leave no administrator who can log in."""

    code = "last_admin"
    title = "Last administrator"


class TooManyApiKeys(Conflict):
    """The account has reached its limit of API keys."""

    code = "too_many_api_keys"
    title = "Too many API keys"


class RotationPending(Conflict):
    """A new signing key is published already and signs soon."""

    code = "rotation_pending"
    title = "Rotation already under way"


class OwnAccount(Conflict):
    """Administrators cannot delete their own account."""

    code = "own_account"
    title = "Your own account"


class UserNotFound(NotFound):
    """There is no account with this id."""

    code = "user_not_found"
    title = "No such account"


class SessionNotFound(NotFound):
    """There is no session with this id, or it has ended or belongs to another user."""

    code = "session_not_found"
    title = "No such session"


class ApiKeyNotFound(NotFound):
    """There is no API key with this id, or it is revoked or belongs to another user."""

    code = "api_key_not_found"
    title = "No such API key"


class TooManyAttempts(TooManyRequests):
    """Too many failed logins for this user from this address, or from this address for all users."""

    code = "too_many_attempts"
    title = "Too many failed logins"


class LoginBusy(Unavailable):
    """More logins at the same time than this process can hash."""

    code = "login_busy"
    title = "Login is busy"


class NoSigningKey(Problem):
    """No signing key is valid now: the dates of the keys in the database are wrong."""

    status = 503
    code = "no_signing_key"
    title = "No signing key"


class SecretKeyMismatch(Exception):
    """The signing keys in the database were encrypted under another SECRET_KEY."""
