"""List the scenarios that the auth app has to pass, with their tests."""

#: Every scenario, by area, with the tests that go through it. What the published front end shows as a dialog is an
#: alert or a text at the field here, and the cookie `X-CSRF` is a hidden field of each form.
SCENARIOS = {
    "sign in": {
        "a demo user signs in, sees both roles and has a session": "test_a_demo_user_signs_in_and_out",
        "the right screen before sign-in, after it and after sign-out": "test_a_demo_user_signs_in_and_out",
        "an unknown user": "test_refused_sign_ins",
        "a wrong password": "test_refused_sign_ins",
        "the error is said again on each failed try": "test_refused_sign_ins",
        "no error appears while typing": "test_refused_sign_ins",
    },
    "version": {
        "the footer, signed out": "test_a_demo_user_signs_in_and_out",
        "the footer, signed in": "test_a_demo_user_signs_in_and_out",
    },
    "second factor": {
        "of a user who must have one: the way on opens once the codes are kept": "test_a_required_second_factor",
        "the set-up loaded again shows backup codes again": "test_a_required_second_factor",
        "the code is accepted, and the servers appear": "test_a_required_second_factor",
        "the same code is refused at the next sign-in": "test_a_required_second_factor",
        "a backup code is accepted instead, once": "test_a_required_second_factor",
        "a user switches it on from the account, which then offers a reset": "test_a_second_factor_by_choice",
    },
    "account": {
        "the password changes, fields are emptied, the new one signs in": "test_the_password_changes",
        "a wrong old password": "test_refused_passwords",
        "two new passwords that differ": "test_refused_passwords",
        "a weak new password": "test_refused_passwords",
        "the error is said again on each try": "test_refused_passwords",
        "no error appears while typing a new password": "test_refused_passwords",
    },
    "tokens": {
        "a name with a space is told, and no longer once it is good": "test_names_of_tokens",
        "a blank name is told": "test_names_of_tokens",
        "saving without a role is refused": "test_names_of_tokens",
        "all roles are chosen, and the token is listed": "test_names_of_tokens",
        "the token is viewed, copied and downloaded": "test_browser.test_the_steps_of_the_talk",
    },
    "users": {
        "a user name with a space": "test_refused_users",
        "a blank user name": "test_refused_users",
        "a taken user name": "test_refused_users",
        "a blank password": "test_refused_users",
        "a weak password": "test_refused_users",
        "a user is added and listed": "test_a_user_is_added_and_gets_another_password",
        "a user who is not saved is not listed": "test_a_user_is_added_and_gets_another_password",
        "the session is lost before saving: sign-in": "test_browser.test_a_new_user_comes_back_without_the_password",
        "another password, with which the user signs in": "test_a_user_is_added_and_gets_another_password",
    },
    "servers": {
        "a blank lifetime": "test_a_server_from_its_registration_to_its_end",
        "a description whose audience is registered": "test_a_server_from_its_registration_to_its_end",
        "a server is added and edited": "test_a_server_from_its_registration_to_its_end",
        "a description with fewer and new scopes": "test_a_server_from_its_registration_to_its_end",
        "a server is deleted": "test_a_server_from_its_registration_to_its_end",
    },
    "roles": {
        "a blank role name": "test_a_role_from_its_making_to_its_end",
        "a role name with a space": "test_a_role_from_its_making_to_its_end",
        "a taken role name": "test_a_role_from_its_making_to_its_end",
        "a role is added and listed": "test_a_role_from_its_making_to_its_end",
        "the scopes of a saved role, with a mixed unit": "test_a_role_from_its_making_to_its_end",
        "a role is renamed": "test_a_role_from_its_making_to_its_end",
        "a role is deleted": "test_a_role_from_its_making_to_its_end",
    },
    "public key": {
        "the text is the configured key": "test_the_public_key",
        "the key can be downloaded": "test_the_public_key",
    },
    "components": {
        "the scope tree": "test_browser.test_the_scope_tree_of_a_role",
        "the role form": "test_browser.test_a_branch_of_a_searched_tree_ticks_what_can_be_seen",
    },
}
