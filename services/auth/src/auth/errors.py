"""What can go wrong in auth, with stable codes."""

from common.web.errors import Problem, TooManyRequests, Unauthorized, Unavailable


class InvalidCredentials(Unauthorized):
    """Unknown user, wrong password or disabled account: one answer for all three."""

    code = "invalid_credentials"
    title = "Wrong user name or password"


class AccountGone(Unauthorized):
    """The token is genuine, but its account was removed or disabled since."""

    code = "account_gone"
    title = "Account no longer active"


class TooManyAttempts(TooManyRequests):
    """Too many failed logins for this user from this address, or from this address altogether."""

    code = "too_many_attempts"
    title = "Too many failed logins"


class LoginBusy(Unavailable):
    """More logins at once than this process may hash."""

    code = "login_busy"
    title = "Login is busy"


class NoSigningKey(Problem):
    """No key may sign at this moment: the keys' dates in the database are wrong."""

    status = 503
    code = "no_signing_key"
    title = "No signing key"


class SecretKeyMismatch(Exception):
    """The signing keys in the database were sealed under another SECRET_KEY."""
